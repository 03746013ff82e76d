from cryotome.core.redact import without_secrets


def test_no_secret_stays_in_a_text(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "plain-token-17")
    said = "plain-token-17 hf_AbCdEf123 Bearer abc.def-ghi https://me:pw@proxy:80/x?token=q1&a=1"
    assert without_secrets(said) == "*** *** Bearer *** https://***@proxy:80/x?token=***&a=1"
    said = "Authorization: Basic bWU6d29yZA== https://host/x?se=2&sig=a%2Fb%3D&sp=r"
    assert without_secrets(said) == "Authorization: Basic *** https://host/x?se=2&sig=***&sp=r"
    assert without_secrets("basic training of 3 cells") == "basic training of 3 cells"
    assert without_secrets("results/a_hf_b.csv of 3 cells") == "results/a_hf_b.csv of 3 cells"
