// SPDX-License-Identifier: MIT
/// \file belay/openssl/jwt_authorizer.hpp
/// jwt::Authorizer: admits clients with a valid token to rooms, with rights that you define.
#pragma once

#include <algorithm>    // std::max
#include <concepts>     // std::convertible_to, std::copy_constructible, std::same_as
#include <optional>     // std::optional
#include <string>       // std::string
#include <type_traits>  // std::is_nothrow_destructible_v
#include <utility>      // std::move

#include <belay/core/clocks.hpp>
#include <belay/core/observer.hpp>
#include <belay/openssl/jwt_verifier.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {
template <class F>
concept GivesAccess = requires(F& rights, const jwt::Claims& claims, const RoomRequest& request) {
    { rights(claims, request) } -> std::convertible_to<std::optional<Access>>;
};
template <class F>
concept AnswersAccess = requires(F& rights, const jwt::Claims& claims, const RoomRequest& request,
                                 Completion<std::optional<Access>> answer) {
    { rights(claims, request, std::move(answer)) } -> std::same_as<void>;
};

/// Returns the grant for a user with a valid token. Without access the user is not known.
[[nodiscard]] inline Grant jwt_grant(std::string user, const std::optional<Access>& access,
                                     Duration valid_for) {
    if (!access) return {};
    return {.user = std::move(user), .access = *access, .valid_for = valid_for};
}

/// Completes a Grant with the access that `rights` answers, on the thread that answers.
template <WallClockLike Clock>
struct JwtAnswer {
    Completion<Grant> answer;
    std::string user;
    WallTime asked;
    Duration valid_for;
    Clock clock;

    void operator()(std::optional<std::optional<Access>> access) noexcept {
        if (!access) return;  // dropped: the client may try again later
        if (valid_for != forever) {
            // The grant counts from the answer, and the token from the question.
            const Duration passed = std::max(Duration{}, clock.now() - asked);
            valid_for = std::max(Duration{}, valid_for - passed);
        }
        answer(jwt_grant(std::move(user), *access, valid_for));
    }
};

/// The hooks that a jwt::Authorizer calls.
struct JwtHooks {
    using Rejected = Hook<OnRejected, const NoMachine, const std::error_code&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Rejected::template right<O>,
                      "jwt::Authorizer: the observer's on_rejected must be 'on_rejected(const "
                      "std::error_code&)'");
        static_assert(has_any_hook_of<O, Rejected>,
                      "jwt::Authorizer: the observer has no hook: it needs on_rejected. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace jwt {

/// Identifies a client by the token of its request, and gives it the rights that `rights` returns.
///
/// The function has one of three forms:
/// - `Access rights(const Claims&, const RoomRequest&)` returns at once;
/// - `std::optional<Access> rights(const Claims&, const RoomRequest&)` does, too;
/// - `void rights(const Claims&, const RoomRequest&, Completion<std::optional<Access>>)` answers at
///   once, later, or on another thread. If it drops the Completion, the client is rejected, and may
///   try again later.
///
///     auto rights = [&](const Claims& who, const RoomRequest& request) -> std::optional<Access> {
///         if (!is_user(who.subject)) return std::nullopt;  // closed as unauthorized
///         return right_of(who.subject, request.room_id);     // Access::none: closed as forbidden
///     };
///     Authorizer authorizer{std::move(*verifier), rights};
///
/// A client whose token is not valid has no user: it is closed as unauthorized. Only the observer's
/// `on_rejected(const std::error_code&)` receives the reason. If the verification itself failed
/// (Errc::not_verified), the client may try again later. A client is also closed as unauthorized if
/// `rights` answers without an Access, and when its token expires, the leeway included.
///
/// Models:        AuthorizerLike.
/// Thread safety: that of `rights`, the clock and the observer. The third form copies the clock,
///                and reads the copy where the answer is given.
template <class Rights, class Observer = NoObserver, WallClockLike Clock = SystemClock>
class Authorizer {
    static_assert(detail::GivesAccess<Rights> || detail::AnswersAccess<Rights>,
                  "jwt::Authorizer: rights must be callable with (const belay::jwt::Claims&, const "
                  "belay::RoomRequest&) and return a belay::Access or a std::optional of it, or be "
                  "callable with a belay::Completion<std::optional<belay::Access>>, too, and "
                  "return void");
    static_assert(detail::GivesAccess<Rights> || std::copy_constructible<Clock>,
                  "jwt::Authorizer: rights that answer by a Completion need a clock that can be "
                  "copied");
    static_assert(detail::explain_observer<detail::JwtHooks, Observer>());

public:
    Authorizer(Verifier verifier, Rights rights, Observer observer = {}, Clock clock = {})
        : verifier_{std::move(verifier)},
          rights_{std::move(rights)},
          observer_{std::move(observer)},
          clock_{std::move(clock)} {}

    /// Verifies the token, and completes `answer` with a Grant.
    ///
    /// Throws: std::bad_alloc, and what `rights` and the observer throw.
    void check(const RoomRequest& request, Completion<Grant> answer) {
        const WallTime now = clock_.now();
        auto claims = verifier_.verify(request.token, now);
        if (!claims) {
            const std::error_code why = claims.error();
            // Nothing is known about the token then, so the client may try again later.
            if (why != Errc::not_verified) answer(Grant{});
            return detail::notify<detail::JwtHooks::Rejected>(observer_, detail::no_machine, why);
        }
        const Duration valid_for = verifier_.valid_for(*claims, now);
        if constexpr (detail::GivesAccess<Rights>) {
            const std::optional<Access> access = rights_(*claims, request);
            answer(detail::jwt_grant(std::move(claims->subject), access, valid_for));
        } else {
            rights_(*claims, request,
                    Completion<std::optional<Access>>{detail::JwtAnswer<Clock>{
                        std::move(answer), claims->subject, now, valid_for, clock_}});
        }
    }

private:
    Verifier verifier_;
    Rights rights_;
    Observer observer_;
    Clock clock_;
};

}}}  // namespace belay::jwt
