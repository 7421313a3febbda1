// SPDX-License-Identifier: MIT
/// \file belay/room/authorizer_like.hpp
/// UpgradeRequest and RoomRequest: what a connection and a client request. AuthorizerLike: decides
/// which users may join which room. Access and Grant: its answer. EveryoneEdits: admits all of
/// them.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint8_t
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/assert.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
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

/// The rights of a client in a room, in rising order.
///
/// A client that may not edit receives changes, and makes none.
enum class Access : std::uint8_t {
    none,     ///< not admitted
    view,     ///< receives changes
    comment,  ///< receives changes; the application defines what a comment is
    edit      ///< receives changes, and changes the document
};

/// Returns the name of a right, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Access access) noexcept {
    constexpr std::string_view names[] = {"none", "view", "comment", "edit"};
    return detail::name_of(access, names);
}

/// The answer of an authorizer, which names the user, the rights, and how long they hold.
///
/// If `access` is none, the manager closes the client: as unauthorized if `user` is empty, and as
/// forbidden otherwise.
///
/// Thread safety: a plain value.
struct Grant {
    /// The name of the user; empty if the user is not known by name.
    std::string user{};
    /// The rights of the user in the room.
    Access access = Access::none;
    /// How long the grant holds, counted from the answer. Then the client is closed as
    /// unauthorized.
    /// Pre: >= 0ns.
    Duration valid_for = forever;
};

namespace detail {
template <class A>
concept ChecksRequest =
    requires(A& authorizer, const RoomRequest& request, Completion<Grant> answer) {
        {
            authorizer.check(request, static_cast<Completion<Grant>&&>(answer))
        } -> std::same_as<void>;
    };
}  // namespace detail

/// Decides which users may join which room, and what they may do there.
///
/// - `check(const RoomRequest&, Completion<Grant>)`: answers at once, later, or on another thread.
///   A Grant without access is a rejection. If the Completion is dropped, or is not answered within
///   `RoomOptions::check_within`, the client is rejected, and may try again later.
///
/// The request is valid until check() returns. Answer a missing token, an unknown user or an
/// unknown room with a Grant without `user` (RoomCloseCodes::unauthorized). Answer a missing right
/// with the user and Access::none (RoomCloseCodes::forbidden). If clients must not find out which
/// rooms exist, answer an unknown room and a missing right in the same way.
///
/// The manager calls check() on its home thread. It must not block, because no client of any room
/// is served before it returns. `check_within` does not end a call that blocks. Read files,
/// databases and networks on another thread, and answer from there.
///
/// check() must not call the manager that calls it.
///
/// Models: EveryoneEdits.
template <class A>
concept AuthorizerLike = std::is_nothrow_destructible_v<A> && detail::ChecksRequest<A>;

/// Admits every client to every room, with the right to edit.
///
/// Use it for tests, or if another part of your server has already authorized the client.
///
/// Thread safety: no state.
struct EveryoneEdits {
    /// Grants `Access::edit`, without a user.
    void check(const RoomRequest& /*request*/, Completion<Grant> answer) const {
        answer(Grant{.access = Access::edit});
    }
};

namespace explain {

/// Names every requirement of AuthorizerLike that A lacks.
template <class A>
consteval bool authorizer_like() {
    static_assert(std::is_nothrow_destructible_v<A>,
                  "AuthorizerLike: A's destructor must be noexcept");
    static_assert(detail::ChecksRequest<A>,
                  "AuthorizerLike: A needs 'void check(const belay::RoomRequest&, "
                  "belay::Completion<belay::Grant>)'");
    return AuthorizerLike<A>;
}

}  // namespace explain

}}  // namespace belay
