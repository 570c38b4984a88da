"""`python -m services.provider_simulator`."""

from services.provider_simulator.main import main

if __name__ == "__main__":
    main()
