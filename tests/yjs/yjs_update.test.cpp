// SPDX-License-Identifier: MIT
// Goal: updates are read, merged, compared and cut like in Yjs, with the same bytes, and invalid
// ones are rejected with their place. Method: golden vectors, handwritten bytes, and properties
// over mixtures.
#include <belay/yjs/yjs_update.hpp>

#include <algorithm>
#include <array>
#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::to_hex;
using belay_test::yjs_vectors;

namespace {

std::vector<Bytes> updates_of(const belay_test::YjsVector& vector) {
    std::vector<Bytes> updates;
    for (const auto hex : vector.updates) updates.push_back(from_hex(hex));
    return updates;
}

std::string merged_hex(const std::vector<Bytes>& updates) {
    const auto merged = yjs::merge_updates(updates);
    REQUIRE(merged);
    return to_hex(merged->update);
}

/// The reason for which this update is rejected, and its byte.
std::string refused(const std::string& hex, const yjs::Limits& limits = {}) {
    const Bytes update = from_hex(hex);
    const auto summary = yjs::validate(update, limits);
    if (summary) return "accepted";
    const yjs::UpdateError error = summary.error();
    // All functions reject it in the same way.
    CHECK(yjs::merge_updates({update}, limits).error().message() == error.message());
    CHECK(yjs::state_vector(update, limits).error().code == error.code);
    CHECK(yjs::diff_update(update, from_hex("00"), limits).error().code == error.code);
    CHECK(yjs::coalesce(update, limits).error().code == error.code);
    CHECK(yjs::scrub(update, limits).error().code == error.code);
    CHECK(yjs::split_update(update, 1000, limits).error().code == error.code);
    return std::to_string(error.offset) + ": " + error.what;
}

}  // namespace

TEST_CASE("yjs: merging gives the golden bytes", "[room][yjs_update][golden]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        const std::vector<Bytes> updates = updates_of(vector);
        const auto merged = yjs::merge_updates(updates);
        REQUIRE(merged);
        CHECK(to_hex(merged->update) == vector.merged);
        CHECK(merged->conflicts == 0);
        const auto coalesced = yjs::coalesce(merged->update);
        REQUIRE(coalesced);
        CHECK(to_hex(*coalesced) == vector.coalesced);
        const auto scrubbed = yjs::scrub(merged->update);
        REQUIRE(scrubbed);
        CHECK(to_hex(*scrubbed) == vector.scrubbed);
        CHECK(to_hex(*yjs::scrub(*scrubbed)) == vector.scrubbed);
        CHECK(to_hex(*yjs::coalesce(*scrubbed)) == vector.scrubbed);
    }
}

TEST_CASE("yjs: state vectors and diffs are the golden bytes", "[room][yjs_update][golden]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        const Bytes merged = from_hex(vector.merged);
        const auto sv = yjs::state_vector(merged);
        REQUIRE(sv);
        CHECK(to_hex(*sv) == vector.state_vector);
        for (const auto& [from, expected] : vector.diffs) {
            INFO(from);
            const auto diff = yjs::diff_update(merged, from_hex(from));
            REQUIRE(diff);
            CHECK(to_hex(*diff) == expected);
        }
    }
}

TEST_CASE("yjs: merging is idempotent, and its groups and order do not matter",
          "[room][yjs_update][property]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        std::vector<Bytes> updates = updates_of(vector);
        const std::string all = merged_hex(updates);
        CHECK(merged_hex({from_hex(all), from_hex(all)}) == all);
        std::vector<Bytes> twice = updates;
        twice.insert(twice.end(), updates.rbegin(), updates.rend());
        CHECK(merged_hex(twice) == all);
        for (std::size_t cut = 0; cut <= updates.size(); ++cut) {
            const auto middle = updates.begin() + static_cast<std::ptrdiff_t>(cut);
            const std::string left = merged_hex({updates.begin(), middle});
            const std::string right = merged_hex({middle, updates.end()});
            CHECK(merged_hex({from_hex(left), from_hex(right)}) == all);
        }
        if (vector.name == "overlap-content-vs-deleted") continue;  // either is right
        std::reverse(updates.begin(), updates.end());
        CHECK(merged_hex(updates) == all);
    }
}

TEST_CASE("yjs: a diff and the known part merge to the whole", "[room][yjs_update][property]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        const Bytes merged = from_hex(vector.merged);
        const auto sv = yjs::state_vector(merged);
        REQUIRE(sv);
        const auto nothing = yjs::diff_update(merged, *sv);
        REQUIRE(nothing);
        const auto left = yjs::validate(*nothing);
        REQUIRE(left);
        // No state vector covers the content after a gap.
        if (yjs::validate(merged)->gaps() == 0) CHECK(left->structs == 0);
        for (const auto& [from, expected] : vector.diffs) {
            const auto diff = yjs::diff_update(merged, from_hex(from));
            REQUIRE(diff);
            CHECK(merged_hex({merged, *diff}) == vector.merged);
        }
    }
}

TEST_CASE("yjs: the pieces of an update merge to the same update", "[room][yjs_update][property]") {
    for (const auto& vector : yjs_vectors) {
        INFO(vector.name);
        const Bytes merged = from_hex(vector.merged);
        for (const std::size_t most : {yjs::split_bytes_min, std::size_t{300}}) {
            const auto pieces = yjs::split_update(merged, most);
            REQUIRE(pieces);
            for (const Bytes& piece : *pieces) {
                CHECK(piece.size() <= most);
                CHECK(yjs::validate(piece));
            }
            CHECK(merged_hex(*pieces) == vector.merged);
        }
    }
}

TEST_CASE("yjs::split_update cuts long texts and lists, and no pair of surrogates",
          "[room][yjs_update][unit]") {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "a\xC3\xA4\xF0\x9F\x98\x80";  // 1, 2 and 4 bytes
    Bytes update = from_hex("0101070004010174");
    yjs::append_varbytes(update, as_bytes(text));
    update.push_back(std::byte{0});
    REQUIRE(yjs::validate(update));
    const auto pieces = yjs::split_update(update, 128);
    REQUIRE(pieces);
    CHECK(pieces->size() > 12);
    for (const Bytes& piece : *pieces) CHECK(piece.size() <= 128);
    const auto merged = yjs::merge_updates(*pieces);
    REQUIRE(merged);
    CHECK(merged->gaps == 0);
    const auto whole = yjs::coalesce(merged->update);
    REQUIRE(whole);
    CHECK(to_hex(*whole) == to_hex(update));
    CHECK(to_hex(*yjs::state_vector(update)) == "0107a006");

    Bytes list = from_hex("0101070008010161");  // values 0 to 299
    yjs::append_varuint(list, 300);
    for (unsigned i = 0; i < 300; ++i) {
        list.push_back(std::byte{119});
        yjs::append_varbytes(list, as_bytes(std::to_string(i)));
    }
    list.push_back(std::byte{0});
    const auto parts = yjs::split_update(list, 128);
    REQUIRE(parts);
    for (const Bytes& piece : *parts) CHECK(piece.size() <= 128);
    CHECK(to_hex(*yjs::coalesce(yjs::merge_updates(*parts)->update)) == to_hex(list));
}

TEST_CASE("yjs::validate rejects the golden invalid updates", "[room][yjs_update][golden]") {
    for (const auto& [name, update] : belay_test::yjs_invalid) {
        INFO(name);
        CHECK(refused(std::string{update}) != "accepted");
    }
}

TEST_CASE("yjs::validate returns the reason and the place", "[room][yjs_update][unit]") {
    CHECK(refused("") == "0: the bytes end too early");
    CHECK(refused("000000") == "2: there are bytes after the end of the update");
    CHECK(refused("0101010000") == "5: the bytes end too early");
    CHECK(refused("010101000b0000") == "4: the number of the kind is unknown");
    CHECK(refused("01010100000000") == "4: a struct has no length");
    CHECK(refused("010101000401017401ff00") == "8: a text is not UTF-8");
    CHECK(refused("01010100040101740500") == "8: a length goes beyond the end");
    CHECK(refused("010101000401017403eda08000") == "8: a text is not UTF-8");
    CHECK(refused("01ffffffffffffffff7f") == "1: a number is larger than 2^53 - 1");
    CHECK(refused("0201010004010174016101010004010174016100") == "0: a client occurs twice");
    CHECK(refused("020102000401017401610101000401017401610101000401017401610000") != "accepted");
    CHECK(refused("01010105000100") == "accepted");
    CHECK(refused("01010105"
                  "84"
                  "0105"
                  "0161"
                  "00") == "5: an item refers to itself, or to a later item of its client");
    CHECK(refused("01010105"
                  "44"
                  "0106"
                  "0161"
                  "00") == "5: an item refers to itself, or to a later item of its client");
    CHECK(refused("01010105"
                  "04"
                  "000105"
                  "0161"
                  "00") == "6: an item refers to itself, or to a later item of its client");
    CHECK(refused("01010100"
                  "05010174"
                  "027b7d"
                  "00") == "accepted");
    CHECK(refused("01010100"
                  "05010174"
                  "017b"
                  "00") == "8: a text is not JSON");
    CHECK(refused("01010100"
                  "02010174"
                  "0109"
                  "756e646566696e6564"
                  "00") == "accepted");
    CHECK(refused("01010100"
                  "05010174"
                  "09"
                  "756e646566696e6564"
                  "00") == "8: a text is not JSON");
    CHECK(refused("01010100"
                  "07010174"
                  "07"
                  "00") == "8: the number of a shared type is unknown");
    CHECK(refused("01010100"
                  "08010174"
                  "0173"
                  "00") == "9: a value has an unknown tag");
    CHECK(refused("01010100"
                  "09010174"
                  "0167"
                  "7e"
                  "00") == "10: a subdocument has no options");
    CHECK(refused("01010100"
                  "09010174"
                  "0167"
                  "7601"
                  "0467756964"
                  "770178"
                  "00") == "10: the options of a subdocument replace its guid or its code");
    CHECK(refused("01020100"
                  "0001"
                  "0a01"
                  "00") == "accepted");
    CHECK(refused("01020100"
                  "0001"
                  "4a01"
                  "00") == "6: the number of the kind is unknown");
    CHECK(refused("0001010100"
                  "00") == "4: a deleted range has no length");
    CHECK(refused("0001010100ffffffffffffff0f") == "accepted");
    CHECK(refused("0001010101ffffffffffffff0f") == "4: a clock is beyond 2^53 - 1");
}

TEST_CASE("yjs::validate keeps each limit", "[room][yjs_update][unit]") {
    const std::string two =
        "02010200"
        "0401017401"
        "61"
        "010100"
        "0401017401"
        "61"
        "00";
    CHECK(refused(two) == "accepted");
    CHECK(refused(two, {.bytes_max = two.size() / 2 - 1}) ==
          "0: more bytes than Limits::bytes_max");
    CHECK(refused(two, {.bytes_max = two.size() / 2}) == "accepted");
    CHECK(refused(two, {.clients_max = 1}) == "0: more clients than Limits::clients_max");
    CHECK(refused(two, {.structs_max = 1}) == "10: more structs than Limits::structs_max");
    CHECK(refused(two, {.structs_max = 2}) == "accepted");
    const std::string deletes =
        "00"
        "01"
        "01"
        "02"
        "0001"
        "0501";
    CHECK(refused(deletes) == "accepted");
    CHECK(refused(deletes, {.delete_ranges_max = 1}) ==
          "3: more ranges than Limits::delete_ranges_max");
    CHECK(refused("01010100"
                  "08010174"
                  "01"
                  "75017500"
                  "00",
                  {.nesting_max = 2}) == "accepted");
    CHECK(refused("01010100"
                  "08010174"
                  "01"
                  "75017500"
                  "00",
                  {.nesting_max = 1}) == "12: values are nested too deeply");
    CHECK(refused("01010100"
                  "05010174"
                  "045b5b5d5d"
                  "00",
                  {.nesting_max = 2}) == "accepted");
    CHECK(refused("01010100"
                  "05010174"
                  "045b5b5d5d"
                  "00",
                  {.nesting_max = 1}) == "8: values are nested too deeply");
}

TEST_CASE("yjs::validate recognizes an update of version 2", "[room][yjs_update][unit]") {
    // A text "hello", by Y.encodeStateAsUpdateV2.
    const Bytes update = from_hex(
        "000002a5010000010400000807"
        "7468656c6c6f010501010000000100");
    const auto summary = yjs::validate(update);
    REQUIRE(!summary);
    CHECK(summary.error().code == YjsErrc::version_2_update);
    CHECK(summary.error().message().find("updateV2") != std::string::npos);
    CHECK(yjs::validate(from_hex("00000000000000000000000000")).error().code ==
          YjsErrc::version_2_update);
}

TEST_CASE("yjs::validate returns a summary of an update", "[room][yjs_update][unit]") {
    const Bytes update = from_hex(
        "02"
        "03"
        "09"
        "00"
        "0401017401"
        "61"
        "0a03"
        "8409030162"
        "01"
        "05"
        "04"
        "0002"
        "01"
        "07"
        "02"
        "0001"
        "0501");
    const auto summary = yjs::validate(update);
    REQUIRE(summary);
    CHECK(summary->clients == 2);
    CHECK(summary->structs == 3);
    CHECK(summary->skips == 1);
    CHECK(summary->late_starts == 1);
    CHECK(summary->gaps() == 2);
    CHECK(summary->delete_ranges == 2);
    CHECK(summary->subdocuments.empty());
    // The update "subdoc" of the vectors.
    for (const auto& vector : yjs_vectors) {
        if (vector.name != "subdoc") continue;
        const Bytes with = from_hex(vector.updates[0]);
        const auto found = yjs::validate(with);
        REQUIRE(found);
        REQUIRE(found->subdocuments.size() == 1);
        CHECK(!found->subdocuments[0].empty());
    }
}

TEST_CASE("yjs::merge_updates counts gaps, and closes them", "[room][yjs_update][unit]") {
    const Bytes a = from_hex(
        "01010700"
        "04010174"
        "0161"
        "00");
    const Bytes b = from_hex(
        "01010701"
        "840700"
        "0162"
        "00");
    const Bytes c = from_hex(
        "01010702"
        "840701"
        "0163"
        "00");
    const auto gap = yjs::merge_updates({c, a});
    REQUIRE(gap);
    CHECK(gap->gaps == 1);
    CHECK(to_hex(gap->update) ==
          "01030700"
          "04010174"
          "0161"
          "0a01"
          "840701"
          "0163"
          "00");
    const auto late = yjs::merge_updates({c, b});
    REQUIRE(late);
    CHECK(late->gaps == 1);
    const auto whole = yjs::merge_updates({gap->update, b});
    REQUIRE(whole);
    CHECK(whole->gaps == 0);
    CHECK(to_hex(*yjs::coalesce(whole->update)) ==
          "01010700"
          "04010174"
          "03616263"
          "00");
    CHECK(to_hex(yjs::merge_updates(std::vector<Bytes>{})->update) == "0000");
    const auto bad = yjs::merge_updates({a, b, BytesView{c}.first(5)});
    REQUIRE(!bad);
    CHECK(bad.error().update == 2);
}

TEST_CASE("yjs::merge_updates counts a client id that was used twice", "[room][yjs_update][unit]") {
    const auto conflicts = [](const char* a, const char* b) {
        const auto merged = yjs::merge_updates({from_hex(a), from_hex(b)});
        const auto swapped = yjs::merge_updates({from_hex(b), from_hex(a)});
        REQUIRE(merged);
        REQUIRE(swapped);
        CHECK(merged->conflicts == swapped->conflicts);
        return merged->conflicts;
    };
    const char* const abc =
        "01010700"
        "04010174"
        "03616263"
        "00";
    CHECK(conflicts(abc, abc) == 0);
    CHECK(conflicts(abc,
                    "01010701"
                    "840700"
                    "0162"
                    "00") == 0);
    CHECK(conflicts(abc,
                    "01010701"
                    "840700"
                    "0178"
                    "00") == 1);
    CHECK(conflicts(abc,
                    "01010701"
                    "840700"
                    "0462636465"
                    "00") == 0);
    CHECK(conflicts(abc,
                    "01010701"
                    "840700"
                    "0462786465"
                    "00") == 1);
    CHECK(conflicts(abc,
                    "01010700"
                    "04010175"
                    "03616263"
                    "00") == 1);  // at another place
    CHECK(conflicts(abc,
                    "01010700"
                    "01010174"
                    "03"
                    "00") == 0);  // deleted
    CHECK(conflicts(abc,
                    "01010700"
                    "0003"
                    "00") == 0);  // collected
    CHECK(conflicts(abc,
                    "01010700"
                    "08010174"
                    "017d01"
                    "00") == 1);  // another kind
    // Half of a pair is the replacement character for a client that was cut there.
    const char* const smile =
        "01010700"
        "04010174"
        "04f09f9880"
        "00";
    CHECK(conflicts(smile,
                    "01010701"
                    "840700"
                    "03efbfbd"
                    "00") == 0);
    CHECK(conflicts(smile,
                    "01010701"
                    "840700"
                    "0178"
                    "00") == 1);
    // Values; numbers and objects have several forms.
    const char* const one_two =
        "01010700"
        "08010174"
        "02"
        "7d01"
        "770161"
        "00";
    CHECK(conflicts(one_two,
                    "01010701"
                    "880700"
                    "01"
                    "770161"
                    "00") == 0);
    CHECK(conflicts(one_two,
                    "01010701"
                    "880700"
                    "01"
                    "770162"
                    "00") == 1);
    CHECK(conflicts(one_two,
                    "01010700"
                    "08010174"
                    "01"
                    "7c3f800000"
                    "00") == 0);
    CHECK(conflicts(one_two,
                    "01010700"
                    "08010174"
                    "01"
                    "78"
                    "00") == 1);
    const char* const bold =
        "01010700"
        "06010174"
        "0162"
        "0474727565"
        "00";
    CHECK(conflicts(bold, bold) == 0);
    CHECK(conflicts(bold,
                    "01010700"
                    "06010174"
                    "0169"
                    "0474727565"
                    "00") == 1);
    CHECK(conflicts(bold,
                    "01010700"
                    "06010174"
                    "0162"
                    "0566616c7365"
                    "00") == 1);
}

TEST_CASE("yjs::diff_update rejects an invalid state vector", "[room][yjs_update][unit]") {
    const Bytes update = from_hex(
        "01010700"
        "04010174"
        "03616263"
        "00");
    const auto refuses = [&](const char* hex, const yjs::Limits& limits = {}) {
        const auto diff = yjs::diff_update(update, from_hex(hex), limits);
        return diff ? std::error_code{} : diff.error().code;
    };
    CHECK(refuses("") == YjsErrc::malformed_state_vector);
    CHECK(refuses("01") == YjsErrc::malformed_state_vector);
    CHECK(refuses("0000") == YjsErrc::malformed_state_vector);
    CHECK(refuses("ffffffffffffff0f") == YjsErrc::update_too_large);
    CHECK(refuses("ffffffffffffff0f", yjs::Limits::none()) == YjsErrc::malformed_state_vector);
    CHECK(!refuses("010701"));
    // A clock beyond the content, and a client twice: the last counts.
    CHECK(to_hex(*yjs::diff_update(update, from_hex("010709"))) == "0000");
    CHECK(to_hex(*yjs::diff_update(update, from_hex("0207030702"))) ==
          "01010702"
          "840701"
          "0163"
          "00");
}

TEST_CASE("yjs::coalesce joins only items that were typed in sequence, in one place",
          "[room][yjs_update][unit]") {
    const auto joined = [](const char* second) {
        const Bytes update = from_hex(std::string{"01020700"
                                                  "04010174"
                                                  "0161"} +
                                      second + "00");
        const auto made = yjs::coalesce(update);
        REQUIRE(made);
        return yjs::validate(*made)->structs == 1;
    };
    CHECK(
        joined("840700"
               "0162"));
    CHECK(
        !joined("840800"
                "0162"));  // after the text of another client
    CHECK(
        !joined("c40700"
                "0800"
                "0162"));  // before it
    CHECK(
        !joined("04010174"
                "0162"));  // at the beginning
    CHECK(
        !joined("880700"
                "01"
                "770162"));  // another kind
    CHECK(
        !joined("830700"
                "0162"));  // a kind that is never joined
}

TEST_CASE("yjs::scrub removes deleted content, and keeps the places to which others refer",
          "[room][yjs_update][unit]") {
    // One item of three clocks, or of one, and a deletion of the first `deleted` clocks.
    const auto scrubbed = [](const std::string& item, const char* deleted) {
        const Bytes update = from_hex("01010700" + item +
                                      "01"
                                      "07"
                                      "01"
                                      "00" +
                                      deleted);
        const auto made = yjs::scrub(update);
        REQUIRE(made);
        const bool same = *made == update;
        return same ? std::string{"kept"} : to_hex(*made).substr(8);
    };
    CHECK(scrubbed("04010174"
                   "03616263",
                   "03") ==
          "01010174"
          "03"
          "01"
          "07"
          "01"
          "00"
          "03");
    CHECK(scrubbed("04010174"
                   "03616263",
                   "09") ==
          "01010174"
          "03"
          "01"
          "07"
          "01"
          "00"
          "09");
    // If a text is deleted in part, the rest stays.
    CHECK(scrubbed("04010174"
                   "03616263",
                   "02") ==
          "01010174"
          "02"
          "840701"
          "0163"
          "01"
          "07"
          "01"
          "00"
          "02");
    CHECK(scrubbed("2801016d016b"
                   "01"
                   "770161",
                   "01") ==
          "2101016d016b"
          "01"
          "01"
          "07"
          "01"
          "00"
          "01");
    CHECK(scrubbed("03010174"
                   "026162",
                   "01") ==
          "01010174"
          "01"
          "01"
          "07"
          "01"
          "00"
          "01");
    CHECK(scrubbed("05010174"
                   "027b7d",
                   "01") ==
          "01010174"
          "01"
          "01"
          "07"
          "01"
          "00"
          "01");
    // A shared type, a format and a subdocument, in the form of Yjs.
    const char* const gone =
        "01010174"
        "01"
        "01"
        "07"
        "01"
        "00"
        "01";
    CHECK(scrubbed("07010174"
                   "00",
                   "01") == gone);
    CHECK(scrubbed("06010174"
                   "0162"
                   "0474727565",
                   "01") == gone);
    CHECK(scrubbed("09010174"
                   "0167"
                   "7600",
                   "01") == gone);
    CHECK(scrubbed("0003", "03") == "kept");
}
