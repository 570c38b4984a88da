from services.audit.core.findings import Example, Finding, State, is_clean, render


def test_report_without_differences_says_that_the_books_balance() -> None:
    findings = [
        Finding("one", State.AGREES),
        Finding("another", State.WAITING, 3, remark="on its way"),
        Finding("third", State.NOTICE, 1),
        Finding("fourth", State.NOT_CHECKED, remark="no table"),
    ]
    assert is_clean(findings)
    assert render(findings).splitlines() == [
        "one      agrees",
        "another  waiting 3 (on its way)",
        "third    notice 1",
        "fourth   not checked (no table)",
        "The books balance.",
    ]


def test_difference_is_shown_with_what_it_should_be() -> None:
    findings = [Finding("sums", State.DIFFERS, 1, [Example("acct_1", 5, None)])]
    assert not is_clean(findings)
    assert render(findings).splitlines() == [
        "sums  DIFFERS 1",
        "    acct_1: 5, should be nothing",
        "The books DO NOT balance.",
    ]
