// SPDX-License-Identifier: MIT
/// \file belay/room/audit_like.hpp
/// AuditLike and AuditRow: who has come to which board, for those who must know later.
#pragma once

#include <concepts>      // std::same_as
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/completion.hpp>
#include <belay/room/access.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One access to a board.
///
/// Thread safety: a plain value.
struct AuditRow {
    std::string user{};  ///< empty: nobody that is known by name
    std::string board{};
    std::string_view action = "access";
    Access level = Access::none;
    std::string ip{};
    std::string user_agent{};
    WallTime time{};
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

/// Writes down who has come to which board.
///
/// - `record(AuditRow, Completion<std::error_code>)`: answers when the row is durable, without an
///   error; at once, later, or in another thread. Any other answer, and none, lets nobody in. It
///   is called where the authorizer answers.
///
/// See Audited, which puts one behind an authorizer.
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
