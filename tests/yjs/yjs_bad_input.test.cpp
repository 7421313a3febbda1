// SPDX-License-Identifier: MIT
// Goal: a peer's bytes are rejected, or are an update on which every function works, without a
// crash or a hang. Method: 20,000 mutated updates, alone and together, and hostile counts.
#include <belay/yjs/yjs_update.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::to_hex;

namespace {

/// All golden updates, and the result of merging them.
std::vector<Bytes> honest_updates() {
    std::vector<Bytes> updates;
    for (const auto& vector : belay_test::yjs_vectors) {
        for (const auto hex : vector.updates) updates.push_back(from_hex(hex));
        updates.push_back(from_hex(vector.merged));
        updates.push_back(from_hex(vector.scrubbed));
    }
    return updates;
}

/// Checks an accepted update: every update that is made from it is accepted, too, and has the same
/// content.
void check_closed(const Bytes& update, BytesView other) {
    const auto merged = yjs::merge_updates({update, other});
    REQUIRE(merged);
    const Bytes& whole = merged->update;
    REQUIRE(yjs::validate(whole));
    const auto again = yjs::merge_updates({whole, update, whole});
    REQUIRE(again);
    CHECK(again->gaps == merged->gaps);
    if (merged->conflicts == 0) CHECK(again->update == whole);
    const auto sv = yjs::state_vector(whole);
    REQUIRE(sv);
    const auto diff = yjs::diff_update(whole, *sv);
    REQUIRE(diff);
    if (merged->gaps == 0) CHECK(yjs::validate(*diff)->structs == 0);
    const auto joined = yjs::coalesce(whole);
    REQUIRE(joined);
    CHECK(joined->size() <= whole.size());
    CHECK(*yjs::state_vector(*joined) == *sv);
    CHECK(*yjs::coalesce(*joined) == *joined);
    const auto scrubbed = yjs::scrub(whole);
    REQUIRE(scrubbed);
    CHECK(*yjs::state_vector(*scrubbed) == *sv);
    REQUIRE(yjs::validate(*scrubbed));
    CHECK(*yjs::scrub(*scrubbed) == *scrubbed);
    CHECK(*yjs::scrub(*joined) == *scrubbed);
    const auto returned = yjs::merge_updates({*scrubbed, whole});
    REQUIRE(returned);
    CHECK(returned->gaps == merged->gaps);
    CHECK(returned->conflicts == 0);
    CHECK(*yjs::scrub(returned->update) == *scrubbed);
    const auto pieces = yjs::split_update(*joined, yjs::split_bytes_min);
    REQUIRE(pieces);
    const auto glued = yjs::merge_updates(*pieces);
    REQUIRE(glued);
    CHECK(glued->conflicts == 0);
    CHECK(*yjs::coalesce(glued->update) == *yjs::coalesce(yjs::merge_updates({*joined})->update));
}

}  // namespace

TEST_CASE("yjs: each of 20,000 mutated updates is rejected, or is valid",
          "[room][yjs_bad_input][fault]") {
    const std::vector<Bytes> honest = honest_updates();
    Random bits{Seed{20'000}};
    std::size_t accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        const auto any = [&]() -> const Bytes& {
            return honest[uniform_upto(bits, honest.size() - 1)];
        };
        const Bytes& original = any();
        const Bytes update = belay_test::mutated(original, any(), bits);
        INFO(to_hex(update));
        const auto summary = yjs::validate(update);
        if (!summary) {
            CHECK(summary.error().offset <= update.size());
            CHECK(*summary.error().what != '\0');
            CHECK(!yjs::merge_updates({original, update}));
            continue;
        }
        ++accepted;
        check_closed(update, original);
    }
    // Both results must be frequent, or the test would check nothing.
    CHECK(accepted > 1000);
    CHECK(accepted < 15'000);
}

TEST_CASE("yjs: each mutated state vector is rejected, or is valid",
          "[room][yjs_bad_input][fault]") {
    const std::vector<Bytes> honest = honest_updates();
    Random bits{Seed{7}};
    for (const Bytes& update : honest) {
        const auto sv = yjs::state_vector(update);
        REQUIRE(sv);
        for (int i = 0; i < 30; ++i) {
            const Bytes claimed = belay_test::mutated(*sv, update, bits);
            INFO(to_hex(claimed));
            const auto diff = yjs::diff_update(update, claimed);
            if (diff) CHECK(yjs::validate(*diff));
        }
    }
}

TEST_CASE("yjs: counts up to 2^53 without contents are rejected at once",
          "[room][yjs_bad_input][fault]") {
    for (const char* const hex :
         {"ffffffffffffff0f", "01ffffffffffffff0f0100", "0101010004010174ffffffffffffff0f",
          "01010100080101"
          "74ffffffffffffff0f",
          "0101010002010174ffffffffffffff0f",
          "010101000801017401"
          "75ffffffffffffff0f",
          "00ffffffffffffff0f", "000101ffffffffffffff0f",
          "010101000801017401"
          "76ffffffffffffff0f"}) {
        INFO(hex);
        CHECK(!yjs::validate(from_hex(hex), yjs::Limits::none()));
    }
    // A few bytes may delete, or collect, this many clocks.
    const Bytes vast = from_hex(
        "01010700"
        "00feffffffffffff0f"
        "01"
        "07"
        "01"
        "00ffffffffffffff0f");
    const auto merged = yjs::merge_updates({vast, vast});
    REQUIRE(merged);
    CHECK(merged->update == vast);
    CHECK(
        !yjs::validate(from_hex("01020700"
                                "00ffffffffffffff0f"
                                "0001"
                                "00")));
}

TEST_CASE("yjs: many overlapping pieces of one text are compared once each",
          "[room][yjs_bad_input][fault]") {
    // Compared from its beginning each time, the text would need 10^10 comparisons of characters.
    constexpr std::size_t letters = 200'000;
    Bytes text = from_hex("0101070004010174");
    yjs::append_varbytes(text, as_bytes(std::string(letters, 'a')));
    text.push_back(std::byte{0});
    Bytes single;
    yjs::append_varuint(single, 1);
    yjs::append_varuint(single, letters - 1);
    for (const std::uint64_t n : {7U, 1U}) yjs::append_varuint(single, n);
    for (std::uint64_t clock = 1; clock < letters; ++clock) {
        for (const std::uint64_t n : {std::uint64_t{0x84}, std::uint64_t{7}}) {
            single.push_back(static_cast<std::byte>(n));
        }
        yjs::append_varuint(single, clock - 1);
        yjs::append_varbytes(single, as_bytes("a"));
    }
    single.push_back(std::byte{0});
    const auto merged = yjs::merge_updates({text, single});
    REQUIRE(merged);
    CHECK(merged->conflicts == 0);
    CHECK(merged->update == text);
}

TEST_CASE("yjs: an update that is cut into many pieces is read once, not once per piece",
          "[room][yjs_bad_input][fault]") {
    // Copied and read from each cut to its end, these would be 10^11 values, and as many letters.
    constexpr std::size_t count = 4'000'000;
    Bytes list = from_hex("0101070008010174");
    yjs::append_varuint(list, count);
    list.insert(list.end(), count, std::byte{126});  // null
    list.push_back(std::byte{0});
    Bytes text = from_hex("0101070004010174");
    yjs::append_varbytes(text, as_bytes(std::string(count, 'a')));
    text.push_back(std::byte{0});
    for (const Bytes& update : {list, text}) {
        const auto pieces = yjs::split_update(update, yjs::split_bytes_min);
        REQUIRE(pieces);
        CHECK(pieces->size() > count / yjs::split_bytes_min);
        const auto merged = yjs::merge_updates(*pieces);
        REQUIRE(merged);
        CHECK(merged->gaps == 0);
        CHECK(*yjs::coalesce(merged->update) == update);
    }
}

namespace {

/// An update with these blocks, and one delete range.
class UpdateText {
public:
    UpdateText& block(std::uint64_t structs, std::uint64_t client, std::uint64_t clock = 0) {
        ++blocks_;
        return numbers({structs, client, clock});
    }
    UpdateText& numbers(std::initializer_list<std::uint64_t> numbers) {
        for (const std::uint64_t n : numbers) yjs::append_varuint(bytes_, n);
        return *this;
    }
    /// A number below 256.
    UpdateText& byte(unsigned n) {
        bytes_.push_back(static_cast<std::byte>(n));
        return *this;
    }
    UpdateText& hex(const char* text) {
        const Bytes more = from_hex(text);
        bytes_.insert(bytes_.end(), more.begin(), more.end());
        return *this;
    }
    [[nodiscard]] Bytes deleting(std::uint64_t client, std::uint64_t clock, std::uint64_t len) {
        return numbers({1, client, 1, clock, len}).end();
    }
    [[nodiscard]] Bytes end() {
        Bytes update;
        yjs::append_varuint(update, blocks_);
        update.insert(update.end(), bytes_.begin(), bytes_.end());
        REQUIRE(yjs::validate(update));
        return update;
    }

private:
    std::uint64_t blocks_ = 0;
    Bytes bytes_;
};

}  // namespace

TEST_CASE("yjs::scrub collects 200,000 types inside each other, and as many items of two clients",
          "[room][yjs_bad_input][fault]") {
    constexpr std::uint64_t levels = 200'000;
    UpdateText nested;
    nested.block(levels, 7).hex("2701016d016b00");
    for (std::uint64_t n = 1; n < levels; ++n) nested.hex("070007").numbers({n - 1}).byte(0);
    CHECK(to_hex(*yjs::scrub(nested.deleting(7, 0, 1))) ==
          "01"
          "02"
          "0700"
          "2101016d016b01"
          "00bf9a0c"
          "01"
          "0701"
          "00c09a0c");

    // Each item refers to the previous one, which is of the other client.
    UpdateText turns;
    turns.block(levels, 9);
    for (std::uint64_t n = 0; n < levels; ++n) turns.hex("8408").numbers({n}).hex("0161");
    turns.block(levels, 8).hex(
        "0400070001"
        "61");
    for (std::uint64_t n = 1; n < levels; ++n) turns.hex("8409").numbers({n - 1}).hex("0161");
    turns.block(1, 7).hex("2701016d016b02");
    const auto collected = yjs::scrub(turns.deleting(7, 0, 1));
    REQUIRE(collected);
    CHECK(yjs::validate(*collected)->structs == 3);
    CHECK(collected->size() < 50);
}

TEST_CASE("yjs::scrub of a text with a million tombstones reads it once",
          "[room][yjs_bad_input][fault]") {
    constexpr std::uint64_t letters = 2'000'000;
    Bytes update = from_hex("0101070004010174");
    yjs::append_varbytes(update, as_bytes(std::string(letters, 'a')));
    yjs::append_varuint(update, 1);
    yjs::append_varuint(update, 7);
    yjs::append_varuint(update, letters / 2);
    for (std::uint64_t n = 0; n < letters; n += 2) {
        yjs::append_varuint(update, n);
        yjs::append_varuint(update, 1);
    }
    const auto scrubbed = yjs::scrub(update, yjs::Limits::none());
    REQUIRE(scrubbed);
    CHECK(yjs::validate(*scrubbed, yjs::Limits::none())->structs == letters);
    CHECK(*yjs::scrub(*scrubbed, yjs::Limits::none()) == *scrubbed);
}

TEST_CASE("yjs::scrub collects 30,000 formats and as many subdocuments of a deleted text",
          "[room][yjs_bad_input][fault]") {
    constexpr std::uint64_t each = 30'000;
    const bool is_deleted = GENERATE(true, false);
    UpdateText text;
    text.block(2 * each + 1, 7).hex("2701016d016b02");
    // Bold begins and ends, and there is a subdocument with an empty object of options.
    text.hex("060007000162").hex("0474727565").hex("890701").hex("01617600");
    for (std::uint64_t n = 2; n < 2 * each; n += 2) {
        text.hex("8607").numbers({n}).hex("0162").hex(n % 4 == 0 ? "0474727565" : "046e756c6c");
        text.hex("8907").numbers({n + 1}).hex("01617600");
    }
    const Bytes update = is_deleted ? text.deleting(7, 0, 1) : text.numbers({0}).end();
    const auto scrubbed = yjs::scrub(update);
    REQUIRE(scrubbed);
    CHECK(yjs::validate(*scrubbed)->structs == (is_deleted ? 2 : 2 * each + 1));
    CHECK((scrubbed->size() < 50) == is_deleted);
    CHECK(*yjs::scrub(*scrubbed) == *scrubbed);
}

TEST_CASE("yjs::scrub keeps items that refer to each other in a circle",
          "[room][yjs_bad_input][fault]") {
    UpdateText circle;
    circle.block(1, 9)
        .hex(
            "840800"
            "0161")
        .block(1, 8)
        .hex(
            "840900"
            "0161");
    circle.block(1, 7).hex(
        "2101016d016b"
        "01");
    const Bytes update = circle.deleting(7, 0, 1);
    CHECK(*yjs::scrub(update) == update);
}

TEST_CASE("yjs::scrub keeps all values of a key whose order Yjs alone can find",
          "[room][yjs_bad_input][fault]") {
    SECTION("a client sets it twice after the same value") {
        UpdateText twice;
        twice.block(2, 9).hex(
            "a80800"
            "017e"
            "a80800"
            "017f");
        twice.block(1, 8).hex(
            "2801016d016b"
            "017e");
        const Bytes update = twice.numbers({0}).end();
        CHECK(yjs::validate(*yjs::scrub(update))->delete_ranges == 0);
    }
    SECTION("a value has a right neighbour") {
        UpdateText right;
        right.block(1, 9)
            .hex(
                "68080001"
                "7e")
            .block(1, 8)
            .hex(
                "2801016d016b"
                "017e");
        const Bytes update = right.numbers({0}).end();
        CHECK(yjs::validate(*yjs::scrub(update))->delete_ranges == 0);
    }
    SECTION("the client of the last value lacks content") {
        UpdateText late;
        late.block(1, 9, 5)
            .hex(
                "a80800"
                "017e")
            .block(1, 8)
            .hex(
                "2801016d016b"
                "017e");
        const Bytes update = late.numbers({0}).end();
        CHECK(yjs::validate(*yjs::scrub(update))->delete_ranges == 0);
        // With this content, the first value has been overwritten.
        UpdateText missing;
        missing.block(1, 9).hex(
            "0401017405"
            "6162636465");
        const auto whole = yjs::merge_updates({update, missing.numbers({0}).end()});
        REQUIRE(whole);
        CHECK(yjs::validate(*yjs::scrub(whole->update))->delete_ranges == 1);
    }
}
