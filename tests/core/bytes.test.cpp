// SPDX-License-Identifier: MIT
// Goal: copies of bytes and texts are exact, and little-endian loads and stores are exact for every
// width, aligned or not, also at compile time.
#include <belay/core/bytes.hpp>

#include <array>
#include <string>

#include "support/catch.hpp"

using namespace belay;

namespace {

constexpr bool stores_little_endian() {
    std::array<std::byte, 4> to{};
    store_le<std::uint32_t>(to.data(), 0x01020304U);
    return to[0] == std::byte{4} && to[3] == std::byte{1} &&
           load_le<std::uint32_t>(to.data()) == 0x01020304U &&
           load_le<std::uint16_t>(to.data() + 1) == 0x0203U;
}
static_assert(stores_little_endian());

template <class T>
void round_trip(std::uint64_t value, std::size_t offset) {
    std::array<std::byte, 24> buffer{};
    buffer.fill(std::byte{0xAA});
    const auto narrow = static_cast<T>(value);
    store_le<T>(buffer.data() + offset, narrow);
    RC_ASSERT(load_le<T>(buffer.data() + offset) == narrow);
    for (std::size_t i = 0; i < buffer.size(); ++i) {
        const bool inside = i >= offset && i < offset + sizeof(T);
        if (!inside) RC_ASSERT(buffer[i] == std::byte{0xAA});
        if (inside)
            RC_ASSERT(std::to_integer<std::uint64_t>(buffer[i]) ==
                      ((narrow >> (8 * (i - offset))) & 0xFFU));
    }
}

}  // namespace

TEST_CASE("to_bytes copies a text or the bytes of a view", "[core][bytes][unit]") {
    const std::string text{"a\0b", 3};
    const Bytes copy = to_bytes(text);
    CHECK(copy == Bytes{std::byte{'a'}, std::byte{0}, std::byte{'b'}});
    CHECK(as_text(copy) == text);
    CHECK(to_bytes(BytesView{copy}.first(1)) == to_bytes("a"));
    CHECK(to_bytes(copy) == copy);
    CHECK(to_bytes("").empty());
    CHECK(to_bytes(BytesView{}).empty());
}

TEST_CASE("load_le and store_le are inverse, and touch nothing else", "[core][bytes][property]") {
    CHECK(rc::check([](std::uint64_t value) {
        const auto offset = *rc::gen::inRange<std::size_t>(0, 16);
        round_trip<std::uint8_t>(value, offset);
        round_trip<std::uint16_t>(value, offset);
        round_trip<std::uint32_t>(value, offset);
        round_trip<std::uint64_t>(value, offset);
    }));
}

TEST_CASE("as_bytes and as_text are views of the same memory", "[core][bytes][unit]") {
    const std::string text{"a\0b", 3};
    const BytesView bytes = as_bytes(text);
    CHECK(bytes.size() == 3);
    CHECK(as_text(bytes) == text);
    CHECK(as_text(bytes).data() == text.data());
    CHECK(as_text({}).empty());
}
