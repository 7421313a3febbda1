// SPDX-License-Identifier: MIT
/// \file belay/room/audited.hpp
/// Audited: an authorizer that lets nobody in who was not written down.
#pragma once

#include <algorithm>  // std::max, std::min
#include <chrono>     // std::chrono::duration
#include <memory>     // std::shared_ptr
#include <optional>   // std::optional
#include <ratio>      // std::ratio
#include <utility>    // std::move

#include <belay/core/clock_like.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/room/audit_like.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay::inline BELAY_ABI {

/// What an Audited writes down beside accesses.
struct AuditedOptions {
    /// Refusals that are written: at most so many at once, in a minute, and that wait to be
    /// written. Whoever floods the door fills no disk; RoomCounters::refused counts them all.
    unsigned refusals_per_minute = 60;
};

/// Asks an authorizer, and writes down each access that it grants, before it is one: a row that
/// cannot be written lets nobody in. A client that is asked for again (RoomManager::reauthorize) is
/// written down again. A refusal is a row too, with the action "refused", and waits for nothing.
///
/// Models:        AuthorizerLike.
/// Thread safety: as its parts; the audit is called where the authorizer answers.
template <AuthorizerLike Authorizer, AuditLike Audit, WallClockLike WallClock>
class Audited {
public:
    Audited(Authorizer authorizer, Audit audit, WallClock clock, AuditedOptions options = {})
        : authorizer_{std::move(authorizer)},
          book_{std::make_shared<Book>(std::move(audit), std::move(clock), options)} {}

    void check(const RoomRequest& request, Completion<Grant> answer) {
        AuditRow row{.board = request.board, .ip = request.ip, .user_agent = request.user_agent};
        authorizer_.check(request,
                          Completion<Grant>{Granted{book_, std::move(row), std::move(answer)}});
    }

private:
    /// Outlives the authorizer, whose answer may come late.
    struct Book {
        Book(Audit a, WallClock c, const AuditedOptions& o)
            : audit{std::move(a)},
              clock{std::move(c)},
              most{static_cast<double>(o.refusals_per_minute)},
              left{most} {}
        /// Whether one more refusal is written.
        [[nodiscard]] bool takes_refusal(WallTime now) noexcept {
            const detail::SpinLock lock{mutex};
            const Duration passed =
                elapsed(Instant{since.time_since_epoch()}, Instant{now.time_since_epoch()});
            const std::chrono::duration<double, std::ratio<60>> minutes{passed};
            left = std::min(most, left + std::max(0.0, minutes.count()) * most);
            since = now;
            if (left < 1 || waiting >= most) return false;
            left -= 1;
            ++waiting;
            return true;
        }
        void refusal_done() noexcept {
            const detail::SpinLock lock{mutex};
            --waiting;
        }
        Audit audit;
        WallClock clock;
        const double most;

    private:
        detail::SpinMutex mutex;
        double left;
        unsigned waiting = 0;
        WallTime since{};
    };
    struct Granted {
        std::shared_ptr<Book> book;
        AuditRow row;
        Completion<Grant> answer;
        void operator()(std::optional<Grant> grant) noexcept {
            if (!grant || !answer.wanted()) return;
            row.user = grant->user;
            row.level = grant->access;
            row.time = book->clock.now();
            if (grant->access == Access::none) return refused(std::move(*grant));
            book->audit.record(std::move(row), Completion<std::error_code>{
                                                   Written{std::move(*grant), std::move(answer)}});
        }
        void refused(Grant grant) noexcept {
            answer(std::move(grant));
            if (!book->takes_refusal(row.time)) return;
            row.action = "refused";
            auto& audit = book->audit;
            audit.record(std::move(row), Completion<std::error_code>{
                                             [b = book](auto) noexcept { b->refusal_done(); }});
        }
    };
    struct Written {
        Grant grant;
        Completion<Grant> answer;
        void operator()(std::optional<std::error_code> error) noexcept {
            if (error && !*error) answer(std::move(grant));
        }
    };

    Authorizer authorizer_;
    std::shared_ptr<Book> book_;
};

}  // namespace belay::inline BELAY_ABI
