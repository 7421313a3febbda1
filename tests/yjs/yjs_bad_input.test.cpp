// SPDX-License-Identifier: MIT
// Goal: a peer's bytes are rejected, or are an update on which every function works; no crash,
// no hang. Method: 20,000 mutated updates, alone and together, and hostile counts.
#include <belay/yjs/yjs_update.hpp>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/yjs/yjs_mutations.hpp"
#include "support/yjs/yjs_vectors.hpp"

using namespace belay;
using belay_test::from_hex;
using belay_test::to_hex;

namespace {

/// All golden updates, and what they merge to.
std::vector<Bytes> honest_updates() {
    std::vector<Bytes> updates;
    for (const auto& vector : belay_test::yjs_vectors) {
        for (const auto hex : vector.updates) updates.push_back(from_hex(hex));
        updates.push_back(from_hex(vector.merged));
        updates.push_back(from_hex(vector.scrubbed));
    }
    return updates;
}

/// Of what was accepted: everything that is made of it is accepted, too, and says the same.
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
    const auto pieces = yjs::split_update(*joined, yjs::split_bytes_min);
    REQUIRE(pieces);
    const auto glued = yjs::merge_updates(*pieces);
    REQUIRE(glued);
    CHECK(glued->conflicts == 0);
    CHECK(*yjs::coalesce(glued->update) == *yjs::coalesce(yjs::merge_updates({*joined})->update));
}

}  // namespace

TEST_CASE("yjs: of 20,000 mutated updates each is rejected, or is valid",
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
    // Both happen often, or nothing was tested.
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
    // So many clocks may be deleted, or collected, by a few bytes.
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
    // Compared from its beginning each time, this would be 10^10 characters.
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
    // Copied and read from each cut to its end, this would be 10^11 values, and as many letters.
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
