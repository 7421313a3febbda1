// SPDX-License-Identifier: MIT
// Goal: a KeyWindow contains exactly the last keys. Method: the published vectors of SipHash,
// vectors of the keys' hash from a program in another language, counted collisions, and a plain
// list compared with the window.
#include <belay/work/detail/key_window.hpp>

#include <deque>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/seeds.hpp"

using namespace belay;

namespace {

Bytes counted(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i);
    return bytes;
}

constexpr Id counted_key() {
    Id key{};
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(i);
    return key;
}

belay::detail::KeyFingerprint print(std::uint64_t low, std::uint32_t content = 0) {
    return {low, static_cast<std::uint32_t>(low), content, 1};
}

}  // namespace

TEST_CASE("siphash128 gives the published values", "[work][key_window][golden]") {
    // vectors_sip128 of the authors' reference implementation: key 00 01 .. 0f, text 00 01 ..
    static constexpr std::pair<std::size_t, const char*> vectors[] = {
        {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
        {2, "8177228da4a45dc7fca38bdef60affe4"},  {3, "9c70b60c5267a94e5f33b6b02985ed51"},
        {4, "f88164c12d9c8faf7d0f6e7c7bcd5579"},  {5, "1368875980776f8854527a07690e9627"},
        {6, "14eeca338b208613485ea0308fd7a15e"},  {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
        {8, "3b62a9ba6258f5610f83e264f31497b4"},  {9, "264499060ad9baabc47f8b02bb6d71ed"},
        {10, "00110dc378146956c95447d3f3d0fbba"}, {11, "0151c568386b6677a2b4dc6f81e5dc18"},
        {15, "5493e99933b0a8117e08ec0f97cfc3d9"}, {16, "6ee2a4ca67b054bbfd3315bf85230577"},
        {17, "473d06e8738db89854c066c47ae47740"}, {31, "2939b0183223fafc1723de4f52c43d35"},
        {32, "7c3956ca5eeafc3e363e9d556546eb68"}, {47, "e61c432b720b19d18ec8d84bdc63151b"},
        {62, "5853542321f567a005d547a4f04759bd"}, {63, "5150d1772f50834a503e069a973fbd7c"}};
    for (const auto& [size, expected] : vectors) {
        const detail::Hash128 hash = detail::siphash128(counted_key(), counted(size));
        std::byte bytes[16];
        store_le<std::uint64_t>(bytes, hash.low);
        store_le<std::uint64_t>(bytes + 8, hash.high);
        INFO(size);
        CHECK(belay_test::to_hex(bytes) == expected);
    }
    constexpr std::byte one{1};
    static_assert(detail::siphash128(Id{}, BytesView{&one, 1}).low !=
                  detail::siphash128(Id{}, BytesView{}).low);
}

TEST_CASE("KeyHash gives the values of its description", "[work][key_window][golden]") {
    // By docs/reference/formats/work-queue.md, in Python: secret 00 01 .. 0f, text 00 01 ..
    static constexpr std::pair<std::size_t, const char*> vectors[] = {
        {0, "f3c8d11a8f8f474e13bc58fc"},  {1, "f2ecf686fe10ea418673a774"},
        {3, "9d070feb4f4f5aa66b0c49f8"},  {4, "a594510c5af36c6c13d8c94f"},
        {7, "f32bb2c79b3295bf72aea89f"},  {8, "8d0546d092edc6cad4d550d0"},
        {9, "7a318e398695dceeb1d2b249"},  {15, "e71946cd5d0a35158b70379f"},
        {36, "5da0f106a386d7c4170680ff"}, {63, "8207d27e1ff654c32ecf8e03"},
        {64, "43ab793dfdab8089724d743e"}, {65, "c43909390acf2b5456e9f18c"},
        {200, "e4f2399700aea169ef406b04"}};
    static constexpr detail::KeyHash hash{counted_key()};
    for (const auto& [size, expected] : vectors) {
        const detail::Hash96 value = hash(counted(size));
        std::byte bytes[12];
        store_le<std::uint64_t>(bytes, value.low);
        store_le<std::uint32_t>(bytes + 8, value.high);
        INFO(size);
        CHECK(belay_test::to_hex(bytes) == expected);
    }
}

TEST_CASE("KeyHash distinguishes texts that differ in a bit, in trailing zeros, or in words only",
          "[work][key_window][unit]") {
    const detail::KeyHash hash{counted_key()};
    std::set<std::pair<std::uint64_t, std::uint32_t>> observed;
    std::size_t texts = 0;
    const auto see = [&](BytesView text) {
        const detail::Hash96 value = hash(text);
        observed.insert({value.low, value.high});
        ++texts;
    };
    for (std::size_t size = 0; size <= 80; ++size) {
        Bytes text(size);
        see(text);
        for (std::size_t bit = 0; bit < 8 * size; ++bit) {
            text[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
            see(text);
            text[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        }
    }
    // Words that are exchanged, between pairs and within one.
    see(as_bytes("aaaabbbbccccdddd"));
    see(as_bytes("bbbbaaaaccccdddd"));
    see(as_bytes("ccccbbbbaaaadddd"));
    see(as_bytes("ccccddddaaaabbbb"));
    CHECK(observed.size() == texts);
}

TEST_CASE("KeyHash: 32 bits of two texts agree under as many secrets as they should",
          "[work][key_window][property]") {
    // Texts that a sum or a product of words alone would not distinguish. Each of the three parts
    // has 16 bits. One of 65,536 secrets is expected to make two texts agree in them.
    static constexpr std::pair<const char*, const char*> texts[] = {
        {"aaaabbbb", "bbbbaaaa"}, {"aaaabbbbcccc", "ccccbbbbaaaa"}, {"a", "b"}, {"key", "key0"}};
    constexpr std::size_t secrets = 1 << 16;
    Random bits{Seed{7}};
    std::size_t agree[3] = {};
    for (std::size_t i = 0; i < secrets; ++i) {
        const detail::KeyHash hash{make_id(bits)};
        for (const auto& [a, b] : texts) {
            const detail::Hash96 x = hash(as_bytes(a));
            const detail::Hash96 y = hash(as_bytes(b));
            agree[0] += (x.low ^ y.low) >> 48 == 0 ? 1U : 0U;
            agree[1] += ((x.low ^ y.low) << 32) >> 48 == 0 ? 1U : 0U;
            agree[2] += (x.high ^ y.high) >> 16 == 0 ? 1U : 0U;
        }
    }
    // Four pairs: four expected each; 20 or more come once in 10^8.
    for (const std::size_t count : agree) CHECK(count < 20);
}

TEST_CASE("print_of depends on key and secret", "[work][key_window][unit]") {
    const detail::KeyHash hash{counted_key()};
    const belay::detail::KeyFingerprint a = belay::detail::print_of("key", hash);
    CHECK(a.same_key(belay::detail::print_of("key", hash)));
    CHECK_FALSE(a.same_key(belay::detail::print_of("kez", hash)));
    CHECK_FALSE(a.same_key(belay::detail::print_of("key", detail::KeyHash{Id{}})));
    CHECK_FALSE(print(1).same_key({1, 2}));
}

TEST_CASE("KeyWindow forgets the oldest keys", "[work][key_window][unit]") {
    belay::detail::KeyWindow window{3};
    CHECK(window.capacity() == 3);
    CHECK(window.find(print(1)) == belay::detail::KeyWindow::Answer::unknown);
    for (std::uint64_t i = 1; i <= 4; ++i) window.add(print(i, 7));
    CHECK(window.size() == 3);
    CHECK(window.find(print(1, 7)) == belay::detail::KeyWindow::Answer::unknown);
    CHECK(window.find(print(2, 7)) == belay::detail::KeyWindow::Answer::same);
    CHECK(window.find(print(4, 8)) == belay::detail::KeyWindow::Answer::different);
    CHECK(window.at(0).low == 2);
    CHECK(window.at(2).low == 4);
    window.clear();
    CHECK(window.size() == 0);
    CHECK(window.find(print(2, 7)) == belay::detail::KeyWindow::Answer::unknown);
    window.add(print(9));
    CHECK(window.at(0).low == 9);
}

TEST_CASE("KeyWindow of capacity 0 finds no key, and of capacity 1 only the last",
          "[work][key_window][unit]") {
    const belay::detail::KeyWindow none{0};
    CHECK(none.find(print(1)) == belay::detail::KeyWindow::Answer::unknown);
    belay::detail::KeyWindow one{1};
    for (std::uint64_t i = 0; i < 100; ++i) {
        one.add(print(i));
        CHECK(one.find(print(i)) == belay::detail::KeyWindow::Answer::same);
        CHECK(one.find(print(i - 1)) == belay::detail::KeyWindow::Answer::unknown);
    }
    const belay::detail::KeyWindow moved{std::move(one)};
    CHECK(moved.find(print(99)) == belay::detail::KeyWindow::Answer::same);
    CHECK(one.capacity() == 0);
    CHECK(one.size() == 0);
    CHECK(one.find(print(99)) == belay::detail::KeyWindow::Answer::unknown);
}

TEST_CASE("KeyWindow gives the same results as a list, also when all keys collide",
          "[work][key_window][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const std::size_t capacity = 1 + bits() % 100;
            // The index is entered by the upper bits of `low`, and tagged with those of `high`: few
            // of these differ, or all.
            const bool crowded = bits() % 2 == 0;
            const bool alike = bits() % 2 == 0;
            belay::detail::KeyWindow window{capacity};
            std::deque<belay::detail::KeyFingerprint> list;
            for (int i = 0; i < 1000; ++i) {
                const std::uint64_t draw = bits() % (2 * capacity);
                belay::detail::KeyFingerprint p;
                p.item = static_cast<std::uint64_t>(i) + 1;
                // These are in the first bucket and the last two, which overflow around the end.
                p.low = crowded ? 0 - (draw % 3 << 60) : detail::mix64(draw);
                p.high = static_cast<std::uint32_t>(alike ? draw : detail::mix64(draw));
                p.content = static_cast<std::uint32_t>(bits() % 2);
                belay::detail::KeyWindow::Answer expected =
                    belay::detail::KeyWindow::Answer::unknown;
                for (belay::detail::KeyFingerprint& known : list) {
                    if (known.item == 0 || !known.same_key(p)) continue;
                    if (bits() % 4 == 0) {
                        window.remove(window.get(p));
                        known = {};
                        break;
                    }
                    expected = known.content == p.content
                                   ? belay::detail::KeyWindow::Answer::same
                                   : belay::detail::KeyWindow::Answer::different;
                }
                REQUIRE(window.find(p) == expected);
                if (expected != belay::detail::KeyWindow::Answer::unknown) continue;
                window.add(p);
                list.push_back(p);
                if (list.size() > capacity) list.pop_front();
                REQUIRE(window.size() == list.size());
                const std::size_t at = bits() % list.size();
                REQUIRE(window.at(at).same_key(list[at]));
            }
        },
        300);
}

TEST_CASE("KeyWindow finds all of many keys, and none that is forgotten",
          "[work][key_window][unit]") {
    // Buckets overflow into each other if there are many: about ten of 2,500.
    constexpr std::size_t capacity = 20'000;
    belay::detail::KeyWindow window{capacity};
    const auto nth = [](std::uint64_t i) {
        return belay::detail::KeyFingerprint{
            detail::mix64(i), static_cast<std::uint32_t>(detail::mix64(i + 1)), 0, i + 1};
    };
    const auto check = [&](std::uint64_t added) {
        std::size_t wrong = 0;
        for (std::uint64_t i = 0; i < added + 1000; ++i) {
            const bool is_there = i < added && i + capacity >= added;
            const bool found = window.find(nth(i)) == belay::detail::KeyWindow::Answer::same;
            wrong += found != is_there ? 1U : 0U;
        }
        CHECK(wrong == 0);
    };
    std::uint64_t added = 0;
    for (const std::uint64_t until : {10'000U, 20'000U, 30'000U, 90'000U}) {
        while (added < until) window.add(nth(added++));
        check(added);
    }
    CHECK(window.capacity() == capacity);
}
