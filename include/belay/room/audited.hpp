// SPDX-License-Identifier: MIT
/// \file belay/room/audited.hpp
/// Audited: an authorizer that lets nobody in who was not written down.
#pragma once

#include <memory>    // std::shared_ptr
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/core/clock_like.hpp>
#include <belay/room/audit_like.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay::inline BELAY_ABI {

/// Asks an authorizer, and writes down each access that it grants, before it is one: a row that
/// cannot be written lets nobody in. Refusals are no accesses. A client that is asked for again
/// (RoomManager::reauthorize) is written down again.
///
/// Models:        AuthorizerLike.
/// Thread safety: as its parts; the audit is called where the authorizer answers.
template <AuthorizerLike Authorizer, AuditLike Audit, WallClockLike WallClock>
class Audited {
public:
    Audited(Authorizer authorizer, Audit audit, WallClock clock)
        : authorizer_{std::move(authorizer)},
          book_{std::make_shared<Book>(std::move(audit), std::move(clock))} {}

    void check(const RoomRequest& request, Completion<Grant> answer) {
        AuditRow row{.board = request.board, .ip = request.ip, .user_agent = request.user_agent};
        authorizer_.check(request,
                          Completion<Grant>{Granted{book_, std::move(row), std::move(answer)}});
    }

private:
    /// Outlives the authorizer, whose answer may come late.
    struct Book {
        Book(Audit a, WallClock c) : audit{std::move(a)}, clock{std::move(c)} {}
        Audit audit;
        WallClock clock;
    };
    struct Granted {
        std::shared_ptr<Book> book;
        AuditRow row;
        Completion<Grant> answer;
        void operator()(std::optional<Grant> grant) noexcept {
            if (!grant || !answer.wanted()) return;
            if (grant->access == Access::none) return answer(std::move(*grant));
            row.user = grant->user;
            row.level = grant->access;
            row.time = book->clock.now();
            book->audit.record(std::move(row), Completion<std::error_code>{
                                                   Written{std::move(*grant), std::move(answer)}});
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
