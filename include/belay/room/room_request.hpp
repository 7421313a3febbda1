// SPDX-License-Identifier: MIT
/// \file belay/room/room_request.hpp
/// UpgradeRequest and RoomRequest: what a connection and a client request before they are admitted.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/assert.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The request of a connection that wants to be a WebSocket, as a listener receives it.
///
/// Thread safety: a plain value.
struct UpgradeRequest {
    std::string target{};      ///< path and query, as they arrived
    std::string ip{};          ///< of the peer
    std::string user_agent{};  ///< as the peer sent it
    std::string origin{};      ///< of the page that opened it; empty if the peer is no browser
};

/// The request of a client to join a room.
///
/// The peer chose its contents; nothing in it is proven.
///
/// Thread safety: a plain value.
struct RoomRequest {
    std::string room_id{};  ///< the room id, decoded: the bytes that storages and audits receive
    std::string token{};    ///< a credential; never logged
    std::string ip{};       ///< of the peer
    /// As the peer sent it; only for logs and audits.
    std::string user_agent{};
    std::string origin{};  ///< of the page that opened it; empty if the peer is no browser
    /// The history of which the client has a part; empty if the client does not send it.
    std::string epoch{};
};

namespace detail {

/// Decodes %XX, once. In a query, + stands for a space.   Returns: false if it is malformed.
[[nodiscard]] inline bool percent_decode(std::string_view text, bool query, std::string& out) {
    out.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && query) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return true;
}

/// Returns whether the UTF-8 text begins with a control character, or with a character that changes
/// the direction of text: an embedding, an override or an isolate.
///
/// In a log, a control character (C0, DEL or C1) can command the terminal. The others can show an
/// id as another one.
/// Source: N. Boucher and R. Anderson, "Trojan Source" (2021), table 1.
[[nodiscard]] inline bool begins_with_control(std::string_view text) noexcept {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (at(0) < 0x20 || at(0) == 0x7F) return true;
    if (at(0) == 0xC2) return at(1) < 0xA0;
    if (at(0) != 0xE2) return false;
    return (at(1) == 0x80 && at(2) >= 0xAA && at(2) <= 0xAE) ||  // U+202A to U+202E
           (at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9);    // U+2066 to U+2069
}

/// Returns whether a URL may name this room. Text that is longer than an id is not inspected.
[[nodiscard]] inline bool is_room_id_of_url(std::string_view room_id) noexcept {
    if (!is_room_id(room_id) || !is_utf8(room_id)) return false;
    for (std::size_t i = 0; i < room_id.size(); ++i) {
        if (begins_with_control(room_id.substr(i))) return false;
    }
    return true;
}

}  // namespace detail

/// Makes the request of a client from the target of an upgrade.
///
/// The target is `{prefix}{room_id}?token=...&epoch=...`, percent-decoded once. A parameter that
/// appears twice, or is malformed, is ignored.
///
/// A room id from a URL is 1 to `room_id_bytes_max` bytes of UTF-8, because it is shown, logged and
/// stored. It contains no control characters, C1 included, and no bidirectional embeddings,
/// overrides and isolates. It is all of the path after the prefix. A slash in it may be written
/// %2F. The limit counts bytes after decoding.
///
/// Returns: the request. Its `room_id` is empty, which every manager rejects as bad_room_id, if
/// - the path does not begin with `prefix`, or
/// - the id is not valid.
/// Complexity: O(size of the target).
[[nodiscard]] inline RoomRequest room_request(const UpgradeRequest& upgrade,
                                              std::string_view prefix) {
    RoomRequest request{
        .ip = upgrade.ip, .user_agent = upgrade.user_agent, .origin = upgrade.origin};
    std::string_view path{upgrade.target};
    std::string_view query;
    if (const auto mark = path.find('?'); mark != std::string_view::npos) {
        query = path.substr(mark + 1);
        path = path.substr(0, mark);
    }
    if (path.substr(0, prefix.size()) == prefix) {
        path.remove_prefix(prefix.size());
        if (!detail::percent_decode(path, false, request.room_id) ||
            !detail::is_room_id_of_url(request.room_id)) {
            request.room_id.clear();
        }
    }
    const auto parameter = [&](std::string_view name, std::string& out) {
        bool seen = false;
        for (std::string_view rest = query; !rest.empty();) {
            const auto end = rest.find('&');
            const std::string_view one = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
            if (one.size() <= name.size() || one.substr(0, name.size()) != name ||
                one[name.size()] != '=') {
                continue;
            }
            if (std::exchange(seen, true) ||
                !detail::percent_decode(one.substr(name.size() + 1), true, out)) {
                return out.clear();
            }
        }
    };
    parameter("token", request.token);
    parameter("epoch", request.epoch);
    return request;
}

}}  // namespace belay
