// SPDX-License-Identifier: MIT
/// \file belay/room/detail/peer_message.hpp
/// PeerMessage: the messages between servers, about awareness and saves.
#pragma once

#include <algorithm>    // std::copy_n
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A version, a kind and the server's id; then, encoded as lib0 does, the client's number, its user
/// and its awareness. `saved` has the epoch and the position instead, in little-endian order.
struct PeerMessage {
    enum class Kind : std::uint8_t {
        state = 1,  ///< the awareness of a client
        left = 2,   ///< a client has left
        query = 3,  ///< a server requests the awareness of all clients
        saved = 4   ///< a server has saved a room that it had loaded with many uncovered changes
    };
    Kind kind{};
    Id server{};
    std::uint64_t client = 0;
    std::string_view user{};
    BytesView awareness{};       ///< in the format of y-protocols
    Id epoch{};                  ///< of `saved`: the history
    std::uint64_t position = 0;  ///< of `saved`: the last change that the snapshot covers

    /// The client's number on this server; its own clients have smaller numbers.
    [[nodiscard]] std::uint64_t local_id() const noexcept {
        std::uint64_t hash = 0xcbf29ce484222325U;
        const auto mix = [&](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3U; };
        for (const std::byte b : server) mix(static_cast<std::uint64_t>(b));
        for (unsigned shift = 0; shift < 64; shift += 8) mix(client >> shift & 0xffU);
        return hash | std::uint64_t{1} << 63U;
    }
};

inline constexpr std::byte peer_message_version{1};

[[nodiscard]] inline Bytes encode(const PeerMessage& message) {
    Bytes out{peer_message_version, static_cast<std::byte>(message.kind)};
    out.insert(out.end(), message.server.begin(), message.server.end());
    if (message.kind == PeerMessage::Kind::saved) {
        out.insert(out.end(), message.epoch.begin(), message.epoch.end());
        out.resize(out.size() + 8);
        store_le(out.data() + out.size() - 8, message.position);
        return out;
    }
    yjs::append_varuint(out, message.client);
    yjs::append_varbytes(out, as_bytes(message.user));
    yjs::append_varbytes(out, message.awareness);
    return out;
}

/// Views into `bytes`.   Errors: unknown_message of a later version; malformed_frame.
[[nodiscard]] inline Result<PeerMessage> decode_peer_message(BytesView bytes) noexcept {
    constexpr std::size_t head = 18;
    if (bytes.size() < head) return make_error_code(RoomErrc::malformed_frame);
    if (bytes[0] != peer_message_version) return make_error_code(RoomErrc::unknown_message);
    const auto kind = static_cast<std::uint8_t>(bytes[1]);
    if (kind < 1 || kind > 4) return make_error_code(RoomErrc::unknown_message);
    PeerMessage message;
    message.kind = static_cast<PeerMessage::Kind>(kind);
    std::copy_n(bytes.begin() + 2, 16, message.server.begin());
    if (message.kind == PeerMessage::Kind::saved) {
        if (bytes.size() != head + 24) return make_error_code(RoomErrc::malformed_frame);
        std::copy_n(bytes.begin() + head, 16, message.epoch.begin());
        message.position = load_le<std::uint64_t>(bytes.data() + head + 16);
        return message;
    }
    yjs::Lib0Reader in{bytes.subspan(head)};
    message.client = in.varuint();
    message.user = as_text(in.varbytes());
    message.awareness = in.varbytes();
    if (in.failed() || !in.at_end()) return make_error_code(RoomErrc::malformed_frame);
    return message;
}

/// The client that a message is about.
struct PeerClient {
    std::uint64_t client = 0;
    bool left = false;  ///< whether it has left
};

/// Returns the client whose earlier messages this one replaces. Returns nothing if it replaces
/// none.
[[nodiscard]] inline std::optional<PeerClient> peer_client_of(BytesView bytes) noexcept {
    const Result<PeerMessage> message = decode_peer_message(bytes);
    if (!message) return std::nullopt;
    const bool left = message->kind == PeerMessage::Kind::left;
    if (!left && message->kind != PeerMessage::Kind::state) return std::nullopt;
    return PeerClient{message->client, left};
}

}}}  // namespace belay::detail
