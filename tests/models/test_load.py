def test_x(multilingual_folder, make_topic_records):
    from transformers import AutoModelForMaskedLM, AutoTokenizer
    t = AutoTokenizer.from_pretrained(multilingual_folder)
    print(type(t), t.model_max_length, t("a","b"), len(t), t.all_special_ids)
    for lang in ("en","bg","sk","de"):
        rs = make_topic_records(lang)
        print(len(rs), rs[7].input, t.tokenize(rs[7].input), rs[7].gold)
        assert 3 not in t(rs[7].input)["input_ids"]
    print(t.tokenize("sports finance science/technology health hello"))
    print(t.convert_ids_to_tokens(t("Text in French (Latin script; gendered nouns; accents are distinctive).<mask></s>")["input_ids"]))
    assert len({r.input for r in rs}) == 36
    AutoModelForMaskedLM.from_pretrained(multilingual_folder)
