// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_relay.hpp
/// RelayedWord: what servers tell each other of who is in a room.
#pragma once

#include <algorithm>    // std::copy_n
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A version, a kind, the server's id, and as lib0 writes them the client's number, its user, and
/// what it says.
struct RelayedWord {
    enum class Kind : std::uint8_t {
        says = 1,  ///< this client is here, so
        gone = 2,  ///< it is not any more
        asks = 3   ///< a server that does not know yet who is here
    };
    Kind kind{};
    Id server{};
    std::uint64_t client = 0;
    std::string_view user{};
    BytesView said{};  ///< as y-protocols writes it

    /// The client's number here: no client of this server has one so large.
    [[nodiscard]] std::uint64_t speaker() const noexcept {
        std::uint64_t hash = 0xcbf29ce484222325U;
        const auto mix = [&](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3U; };
        for (const std::byte b : server) mix(static_cast<std::uint64_t>(b));
        for (unsigned shift = 0; shift < 64; shift += 8) mix(client >> shift & 0xffU);
        return hash | std::uint64_t{1} << 63U;
    }
};

inline constexpr std::byte relay_version{1};

[[nodiscard]] inline Bytes encode(const RelayedWord& word) {
    Bytes out{relay_version, static_cast<std::byte>(word.kind)};
    out.insert(out.end(), word.server.begin(), word.server.end());
    yjs::append_varuint(out, word.client);
    yjs::append_varbytes(out, as_bytes(word.user));
    yjs::append_varbytes(out, word.said);
    return out;
}

/// Views into `bytes`.   Errors: unknown_message of a later version; malformed_frame.
[[nodiscard]] inline Result<RelayedWord> decode_relayed(BytesView bytes) noexcept {
    constexpr std::size_t head = 18;
    if (bytes.size() < head) return make_error_code(RoomErrc::malformed_frame);
    if (bytes[0] != relay_version) return make_error_code(RoomErrc::unknown_message);
    const auto kind = static_cast<std::uint8_t>(bytes[1]);
    if (kind < 1 || kind > 3) return make_error_code(RoomErrc::unknown_message);
    RelayedWord word;
    word.kind = static_cast<RelayedWord::Kind>(kind);
    std::copy_n(bytes.begin() + 2, 16, word.server.begin());
    yjs::Lib0Reader in{bytes.subspan(head)};
    word.client = in.varuint();
    word.user = as_text(in.varbytes());
    word.said = in.varbytes();
    if (in.failed() || !in.at_end()) return make_error_code(RoomErrc::malformed_frame);
    return word;
}

}}}  // namespace belay::detail
