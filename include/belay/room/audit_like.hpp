// SPDX-License-Identifier: MIT
/// \file belay/room/audit_like.hpp
/// AuditLike and AuditRow: record which user accessed which room.
#pragma once

#include <concepts>      // std::same_as
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/completion.hpp>
#include <belay/room/access.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An access to a room, or a rejection, as an audit records it.
///
/// Thread safety: a plain value.
struct AuditRow {
    std::string user{};                  ///< empty if the user is not known by name
    std::string room_id{};               ///< for a listener's rejection, the path
    std::string_view action = "access";  ///< `rejected` for a rejection
    Access level = Access::none;         ///< what was granted
    std::string ip{};                    ///< the address of the peer
    std::string user_agent{};            ///< as the peer sent it: do not trust it
    WallTime time{};                     ///< when the authorizer or the listener decided
};

namespace detail {
template <class A>
concept RecordsRow = requires(A& audit, AuditRow row, Completion<std::error_code> answer) {
    {
        audit.record(static_cast<AuditRow&&>(row),
                     static_cast<Completion<std::error_code>&&>(answer))
    } -> std::same_as<void>;
};
}  // namespace detail

/// Records which user accessed which room.
///
/// - `record(AuditRow, Completion<std::error_code>)`: answers without an error when the row is
///   durable. It may answer at once, later, or on another thread. If it answers an error, or does
///   not answer, or throws, the client is not admitted. It is called where the authorizer answers.
///
/// Audited combines an audit with an authorizer.
template <class A>
concept AuditLike = std::is_nothrow_destructible_v<A> && detail::RecordsRow<A>;

namespace explain {

/// Names every requirement of AuditLike that A lacks.
template <class A>
consteval bool audit_like() {
    static_assert(std::is_nothrow_destructible_v<A>, "AuditLike: A's destructor must be noexcept");
    static_assert(detail::RecordsRow<A>,
                  "AuditLike: A needs 'void record(belay::AuditRow, "
                  "belay::Completion<std::error_code>)'");
    return AuditLike<A>;
}

}  // namespace explain

}}  // namespace belay
