"""Languages: what data sets call them, and whether a text is written in their script."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.languages import language_code, language_name, languages, script_of, text_in_script
from limbeck.errors import DataError

FLORES_101 = """
afr amh ara hye asm ast azj bel ben bos bul mya cat ceb zho_simpl zho_trad hrv ces dan nld eng est tgl fin fra ful
glg lug kat deu ell guj hau heb hin hun isl ibo ind gle ita jpn jav kea kam kan kaz khm kor kir lao lav lin lit luo
ltz mkd msa mal mlt mri mar mon npi nso nob nya oci ory orm pus fas pol por pan ron rus srp snd sna slk slv som ckb
spa swh swe tgk tam tel tha tur ukr umb urd uzb vie cym wol xho yor zul
"""
"""Codes of all files of FLORES-101, in the order of its list of languages."""

SIB_200 = """
amh_Ethi arb_Arab bel_Cyrl ben_Beng bul_Cyrl cat_Latn ces_Latn dan_Latn deu_Latn ell_Grek eng_Latn est_Latn eus_Latn
fin_Latn fra_Latn hau_Latn heb_Hebr hin_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ind_Latn isl_Latn ita_Latn jpn_Jpan
kat_Geor kaz_Cyrl kor_Hang lit_Latn lvs_Latn mkd_Cyrl nld_Latn nob_Latn pes_Arab pol_Latn por_Latn ron_Latn rus_Cyrl
slk_Latn slv_Latn sna_Latn som_Latn spa_Latn srp_Cyrl swe_Latn swh_Latn tam_Taml tha_Thai tur_Latn ukr_Cyrl urd_Arab
vie_Latn yor_Latn zho_Hans zul_Latn
"""

OTHERS = {
    "XGLUE": "ar bg de el en es fr hi it nl pl pt ru sw th tr ur vi zh",
    "XNLI": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "PAWS-X": "de en es fr ja ko zh",
    "XCOPA": "en et ht id it qu sw ta th tr vi zh",
    "WikiAnn": "bg de en es pl ru sw tr uk zh",
    "MasakhaNEWS": "amh eng fra hau ibo lin lug orm pcm run sna som swa tir xho",
    "MasakhaNER 2.0": "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul",
    "tweets": "arabic english french german hindi italian portuguese spanish",
}


def test_flores_101_is_covered_file_by_file() -> None:
    files = FLORES_101.split()
    assert len(files) == 102  # Chinese in two scripts
    assert {language_code(code) for code in files} == {
        language.code for language in languages().values() if language.flores_101 is not None
    }
    assert len({language_code(code) for code in files}) == 102


def test_sib_200_is_covered_and_its_scripts_agree() -> None:
    scripts = {
        "Latn": "Latin", "Cyrl": "Cyrillic", "Arab": "Arabic", "Deva": "Devanagari", "Ethi": "Ethiopic", "Hans": "Han",
        "Beng": "Bengali", "Grek": "Greek", "Hebr": "Hebrew", "Armn": "Armenian", "Jpan": "Japanese",
        "Geor": "Georgian", "Hang": "Hangul", "Taml": "Tamil", "Thai": "Thai",
    }  # fmt: skip
    codes = SIB_200.split()
    assert len({language_code(code) for code in codes}) == len(codes) == 56
    for code in codes:
        assert script_of(code) == scripts[code.split("_")[1]], code


@pytest.mark.parametrize("data_set", OTHERS)
def test_languages_of_other_sets_are_covered_one_to_one(data_set: str) -> None:
    codes = OTHERS[data_set].split()
    assert len({language_code(code) for code in codes}) == len(codes)


@pytest.mark.parametrize("code", OTHERS["XGLUE"].split())
def test_two_letter_codes_are_ours(code: str) -> None:
    assert language_code(code) == code


@pytest.mark.parametrize(
    ("given", "ours", "name"),
    [
        ("bul_Cyrl", "bg", "Bulgarian"),
        ("bul", "bg", "Bulgarian"),
        ("bg", "bg", "Bulgarian"),
        ("zho_Hans", "zh", "Simplified Chinese"),
        ("zho_simpl", "zh", "Simplified Chinese"),
        ("zho", "zh", "Simplified Chinese"),
        ("zho_Hant", "zh-Hant", "Traditional Chinese"),
        ("zh-TW", "zh-Hant", "Traditional Chinese"),
        ("zho_trad", "zh-Hant", "Traditional Chinese"),
        ("swa", "sw", "Swahili"),
        ("swh", "sw", "Swahili"),
        ("swh_Latn", "sw", "Swahili"),
        ("arb_Arab", "ar", "Arabic"),
        ("lvs_Latn", "lv", "Latvian"),
        ("pes_Arab", "fa", "Persian"),
        ("nob", "nb", "Norwegian Bokmål"),
        ("no", "nb", "Norwegian Bokmål"),
        ("gaz_Latn", "om", "Oromo"),
        ("npi", "ne", "Nepali"),
        ("ory", "or", "Odia"),
        ("fil", "tl", "Tagalog"),
        ("pcm", "pcm", "Nigerian Pidgin"),
        ("kam", "kam", "Kamba"),
        (" ENG-latn ", "en", "English"),
    ],
)
def test_codes_of_data_sets_become_ours(given: str, ours: str, name: str) -> None:
    assert language_code(given) == ours
    assert language_name(given) == name


def test_every_code_is_of_its_kind_and_leads_back() -> None:
    for language in languages().values():
        assert re.fullmatch(r"[a-z]{2,3}|zh-Hant", language.code)
        assert len(language.code) == 2 or language.code in (language.iso_639_3, "zh-Hant")
        assert re.fullmatch(r"[a-z]{3}", language.iso_639_3)
        assert language.flores_200 is None or re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", language.flores_200)
        for code in (language.code, language.name, language.flores_101, language.flores_200, *language.also):
            assert code is None or language_code(code) == language.code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("bul_Latn", "'bul_Latn' is none of the 116 languages known here; Bulgarian is 'bg' (Cyrillic script)."),
        ("bull", "'bull' is none of the 116 languages known here; the closest are 'bul' (bg)"),
        ("Hindy", "the closest are 'hindi' (hi)"),
        ("xx", "'xx' is none of the 116 languages known here. Expected an ISO 639-1 or 639-3 code"),
        ("", "'' is none of the 116 languages"),
    ],
)
def test_an_unknown_code_is_refused_with_what_it_may_mean(code: str, message: str) -> None:
    for question in (language_code, language_name, script_of):
        with pytest.raises(DataError, match=re.escape(message)):
            question(code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Съ̀здадени са 27 нови закона.", "bg"),
        ("Çok güzel, değil mi?", "tr"),
        ("Ọ́ dára púpọ̀.", "yo"),
        ("Ba’a yi shi ɓa ƙasa ɗaya ʼyanci.", "ha"),
        ("今天天气很好。", "zh"),
        ("東京タワーへ行く人々は、ｺｰﾋｰをのむ。", "ja"),
        ("오늘은 날씨가 좋다.", "ko"),
        ("اردو میں ۲۷ الفاظ", "ur"),
        ("हिन्दी में लिखना", "hi"),
        ("বাংলা ভাষা", "as"),
        ("ሰላም ለዓለም።", "am"),
        ("ภาษาไทยไม่มีช่องว่าง", "th"),
        ("ქართული ენა", "ka"),
        ("Հայերեն լեզու", "hy"),
        ("မြန်မာဘာသာ", "my"),
        ("ଓଡ଼ିଆ ଭାଷା", "or"),
        ("ਪੰਜਾਬੀ ਬੋਲੀ", "pa"),
        ("ភាសាខ្មែរ", "km"),
        ("A 1ª e o 2º lugar", "pt"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "en"),
    ],
)
def test_a_text_is_wholly_in_the_script_of_its_language(text: str, code: str) -> None:
    assert text_in_script(text, script_of(code)) == 1.0
    assert text_in_script(text, "Greek") == 0.0


def test_the_share_is_of_letters() -> None:
    assert text_in_script("мир abcdef 123 !?", "Cyrillic") == 3 / 9
    assert text_in_script("мир abcdef 123 !?", "Latin") == 6 / 9
    assert text_in_script("今日はUSB", "Japanese") == 3 / 6
    assert text_in_script("今日はUSB", "Han") == 2 / 6


@pytest.mark.parametrize("text", ["", "123 + 4 = 127", "!? …", "\U0001f600", "ʼ"])
def test_a_text_without_letters_is_in_every_script(text: str) -> None:
    assert text_in_script(text, "Thai") == 1.0


def test_an_unknown_script_is_refused() -> None:
    with pytest.raises(DataError, match="'Latn' is not a known script; did you mean 'Latin'"):
        text_in_script("a", "Latn")


@given(st.text())
def test_any_text_has_a_share_between_0_and_1(text: str) -> None:
    assert 0 <= text_in_script(text, "Latin") <= 1
    assert text_in_script(text * 3, "Latin") == text_in_script(text, "Latin")
