import json

import pytest

from transplant.errors import CorruptError
from transplant.surgery.fuse.stored import FusionRecord
from transplant.surgery.inject.stored import InjectionRecord

FUSION = FusionRecord(combiner="gate", members=(("python", 128), ("probe", None)), layer=3)
INJECTION = InjectionRecord(
    bank="llama", donor="ref-llama", part="ffn.3", layer=2, gate="scalar", mixture=1
)


@pytest.mark.parametrize("record", [FUSION, INJECTION])
def test_a_record_comes_back_from_json(record):
    assert type(record).from_dict(json.loads(json.dumps(record.as_dict()))) == record


@pytest.mark.parametrize("record", [FUSION, INJECTION])
def test_a_record_that_is_not_whole_is_named_with_its_fields(record):
    whole = record.as_dict()
    less = {name: value for name, value in whole.items() if name != "layer"}
    for broken in (None, [], less, {**whole, "nose": 1}):
        with pytest.raises(CorruptError, match=r"the record of an? \w+: expected .*layer"):
            type(record).from_dict(broken)


def test_members_that_are_no_pairs_are_refused():
    with pytest.raises(CorruptError, match="a fusion"):
        FusionRecord.from_dict({**FUSION.as_dict(), "members": ["python"]})
