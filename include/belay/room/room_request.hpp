// SPDX-License-Identifier: MIT
/// \file belay/room/room_request.hpp
/// UpgradeRequest and RoomRequest: what somebody asks for who knocks at a room.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/assert.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/yjs/detail/utf8.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a listener knows of a connection that wants to be a WebSocket.
///
/// Thread safety: a plain value.
struct UpgradeRequest {
    std::string target{};  ///< path and query, as they came
    std::string ip{};      ///< of the peer
    std::string user_agent{};
    std::string origin{};  ///< of the page that opened it; empty if it is no browser
};

/// What a client wants of a RoomManager. What is in it is the peer's: nothing of it is proven.
///
/// Thread safety: a plain value.
struct RoomRequest {
    std::string board{};  ///< the room's id, decoded: the bytes that storages and audits see
    std::string token{};  ///< a credential; never logged
    std::string ip{};
    std::string user_agent{};
    std::string origin{};
    /// Of the history that the client has a part of; empty if it does not say.
    std::string epoch{};
};

namespace detail {

/// The value of a hexadecimal digit; negative if it is none.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Decodes %XX, once; in a query + stands for a space.   Returns: false if it is malformed.
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

/// Whether what a URL names can be a room: what is longer than an id is not looked at.
[[nodiscard]] inline bool is_board_of_url(std::string_view board) noexcept {
    if (!is_room_id(board) || !is_utf8(board)) return false;
    for (const char c : board) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
    }
    return true;
}

}  // namespace detail

/// Takes the target of an upgrade apart: `{prefix}{board}?token=...&epoch=...`, percent-decoded
/// once. A parameter that comes twice, or is malformed, is as if it had not come.
///
/// A board from a URL is 1 to `room_id_bytes_max` bytes of UTF-8 without control characters: it is
/// shown, logged and stored. A slash in it comes as %2F; one that is none ends the board.
///
/// Returns: a request; its `board` is empty, which every manager refuses as bad_room_id, if the
/// path does not begin with `prefix`, goes on behind the board, or the board is none.
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
        // A slash that is part of an id comes as %2F.
        if (path.find('/') != std::string_view::npos ||
            !detail::percent_decode(path, false, request.board) ||
            !detail::is_board_of_url(request.board)) {
            request.board.clear();
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
