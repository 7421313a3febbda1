// SPDX-License-Identifier: MIT
// Goal: frames survive any cut of the stream, and a length or type that is not allowed is found
// before it costs memory. Method: golden bytes, and streams cut everywhere.
#include <belay/link/framings.hpp>

#include "support/link/framing_suite.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::string_literals;

namespace {

std::string length_prefixed_message(Random& bits) {
    std::string any(uniform_upto(bits, 300), '\0');
    for (char& c : any) c = static_cast<char>(uniform_upto(bits, 255));
    return any;
}

Findings found_at_once(const std::string& stream, LengthPrefixed framing = {}) {
    Random bits{Seed{1}};
    return find_in(framing, stream, bits, 0);
}

}  // namespace

TEST_CASE("LengthPrefixed writes the bytes of its format", "[link][length_prefixed][golden]") {
    const LengthPrefixed framing;
    Bytes out;
    REQUIRE(framing.put(as_bytes("abc"), out));
    LengthPrefixed::put_ping(out);
    const part::Cut ping = framing.cut(BytesView{out}.subspan(8), {});
    CHECK(ping.kind == part::Cut::Kind::alive);
    out.insert(out.end(), ping.body.begin(), ping.body.end());
    CHECK(as_text(out) == "\x03\0\0\0\0abc\0\0\0\0\1\0\0\0\0\2"s);
    // A pong gets no answer.
    CHECK(framing.cut(BytesView{out}.subspan(13), {}).body.empty());
}

TEST_CASE("LengthPrefixed finds the same messages however the stream is cut",
          "[link][length_prefixed][property]") {
    for_each_seed(
        [](Seed seed) {
            check_framing(LengthPrefixed{.bytes_max = 300}, length_prefixed_message, seed);
        },
        100);
}

TEST_CASE("LengthPrefixed rejects lengths above the limit and unknown frame types",
          "[link][length_prefixed][unit]") {
    using Strings = Findings;
    CHECK(found_at_once("\x04\0\0\0\0"s, {.bytes_max = 3}) == Strings{"failed"});
    CHECK(found_at_once("\x01\0\0\0\x03"s) == Strings{"failed"});
    CHECK(found_at_once("\x01\0\0\0\1"s) == Strings{"failed"});  // a ping with a payload
    CHECK(found_at_once("\x01\0\0\0\2"s) == Strings{"failed"});
    Bytes out;
    CHECK_FALSE(LengthPrefixed{.bytes_max = 3}.put(as_bytes("abcd"), out));
    CHECK_FALSE(LengthPrefixed{.bytes_max = 3}.put_header(4, out));
    CHECK(out.empty());
}

TEST_CASE("A lower limit counts from the next message on", "[link][length_prefixed][unit]") {
    belay::detail::StreamInput<LengthPrefixed> input{LengthPrefixed{}};
    const auto arrive = [&](std::string_view bytes) {
        std::memcpy(input.space().data(), bytes.data(), bytes.size());
        input.arrived(bytes.size());
    };
    arrive("\x05\0\0\0\0ab"s);
    CHECK(input.next().kind == part::Cut::Kind::more);
    input.limit_messages(3);
    arrive("cde\x04\0\0\0\0"s);
    CHECK(as_text(input.next().body) == "abcde");
    CHECK(input.next().kind == part::Cut::Kind::failed);
}

TEST_CASE("An announced length costs no memory before it arrives",
          "[link][length_prefixed][unit]") {
    using Input = belay::detail::StreamInput<LengthPrefixed>;
    Input input{LengthPrefixed{}};
    Bytes header;
    REQUIRE(LengthPrefixed{}.put_header(std::size_t{8} << 20U, header));
    std::memcpy(input.space().data(), header.data(), header.size());
    input.arrived(header.size());
    CHECK(input.next().kind == part::Cut::Kind::more);
    std::size_t have = header.size();
    std::size_t most = 0;
    while (have < (std::size_t{8} << 20U) + header.size()) {
        const auto room = input.space();
        CHECK(input.capacity() <= std::max(2 * have, Input::bytes_min));
        const std::size_t n = std::min<std::size_t>({room.size(), 50'000, (8U << 20U) + 5 - have});
        std::memset(room.data(), 7, n);
        input.arrived(n);
        have += n;
        most = std::max(most, input.capacity());
    }
    CHECK(input.next().body.size() == std::size_t{8} << 20U);
    CHECK(most > std::size_t{8} << 20U);
    static_cast<void>(input.space());
    CHECK(input.capacity() == Input::bytes_min);  // small again
}

TEST_CASE("A long message that arrives in small pieces is moved only a few times",
          "[link][length_prefixed][lines][unit]") {
    const auto moves_of = [](auto framing, BytesView begin) {
        belay::detail::StreamInput<decltype(framing)> input{framing};
        constexpr std::size_t size = std::size_t{1} << 20U;
        std::size_t moves = 0;
        std::size_t capacity = 0;
        for (std::size_t have = 0; have < size;) {
            const auto room = input.space();
            moves += std::exchange(capacity, input.capacity()) != capacity ? 1U : 0U;
            std::size_t n = std::min<std::size_t>(room.size(), 1000);
            if (have == 0) n = std::min(n, begin.size());
            std::memcpy(room.data(), have == 0 ? begin.data() : Bytes(n).data(), n);
            input.arrived(n);
            have += n;
            if (input.next().kind != part::Cut::Kind::more) return std::size_t{0};
        }
        return moves;
    };
    Bytes header;
    REQUIRE(LengthPrefixed{}.put_header(std::size_t{2} << 20U, header));
    for (const std::size_t moves :
         {moves_of(LengthPrefixed{}, header),
          moves_of(Lines{.bytes_max = std::size_t{2} << 20U}, as_bytes("x"))}) {
        CHECK(moves > 0);
        CHECK(moves <= 6);  // 64 KiB, 128 KiB, ... 2 MiB
    }
}
