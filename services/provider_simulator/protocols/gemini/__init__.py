"""The wire format of generativelanguage.googleapis.com/v1beta."""
