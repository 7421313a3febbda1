// SPDX-License-Identifier: MIT
/// \file belay/room/audited.hpp
/// Audited: an authorizer that lets nobody in who was not written down.
#pragma once

#include <algorithm>  // std::max, std::min
#include <chrono>     // std::chrono::duration
#include <cstdint>    // std::uint64_t
#include <memory>     // std::shared_ptr
#include <optional>   // std::optional
#include <ratio>      // std::ratio
#include <string>     // std::string, std::string_view
#include <utility>    // std::move

#include <belay/core/assert.hpp>
#include <belay/core/clock_like.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/room/audit_like.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What an Audited writes down beside accesses.
struct AuditedOptions {
    /// Refusals that are written: at most so many at once, from then on so many a minute (twice as
    /// many in the first), and so many that wait to be written. Whoever floods the door fills no
    /// disk; `refusals().dropped()` counts the others.
    unsigned refusals_per_minute = 60;
};

/// Asks an authorizer, and writes down each access that it grants, before it is one: a row that
/// cannot be written lets nobody in. A client that is asked for again (RoomManager::reauthorize) is
/// written down again. A refusal is a row too, with the action "refused", and waits for nothing.
///
/// Models:        AuthorizerLike.
/// Thread safety: as its parts; the audit is called where the authorizer answers.
template <class Authorizer, class Audit, WallClockLike WallClock>
class Audited {
    // Not constraints: the compilers' words for a failed one would hide the sentences.
    static_assert(explain::authorizer_like<Authorizer>());
    static_assert(explain::audit_like<Audit>());

public:
    Audited(Authorizer authorizer, Audit audit, WallClock clock, AuditedOptions options = {})
        : authorizer_{std::move(authorizer)},
          book_{std::make_shared<Book>(std::move(audit), std::move(clock), options)} {}

    void check(const RoomRequest& request, Completion<Grant> answer) {
        AuditRow row{.board = request.board, .ip = request.ip, .user_agent = request.user_agent};
        authorizer_.check(request,
                          Completion<Grant>{Granted{book_, std::move(row), std::move(answer)}});
    }

    /// An observer that has the rows of refusals by others written by the same rate: of a
    /// beast::Listener, which refuses who never comes to an authorizer. What was asked for stands
    /// in the row's `board`, its first room_id_bytes_max bytes, as the peer wrote them; what has no
    /// ip was nobody, and is no row. Copied at will; it keeps the audit. `dropped()` of it is how
    /// many refusals of all kinds, of those that are told, are in no row.
    ///
    ///     auto refusals = audited.refusals();
    ///     beast::Listener listener{loop, on_accept, {}, refusals};  // or Tee{Log{}, refusals}
    ///
    /// Pre: this was not moved from.
    /// Thread safety: the audit and the clock are called where the listener tells, too: of another
    /// thread than the authorizer's answers, both must be safe for that.
    [[nodiscard]] auto refusals() const {
        BELAY_PRECONDITION(book_ != nullptr, "Audited::refusals: must be taken before it is moved");
        return Refusals{book_};
    }

private:
    /// What is written of refusals. Answers of the audit know only this: an audit that keeps them
    /// does not keep itself.
    class Rate {
    public:
        explicit Rate(unsigned per_minute) noexcept
            : most_{static_cast<double>(per_minute)}, left_{most_} {}
        /// Whether one more refusal is written.
        [[nodiscard]] bool takes(WallTime now) noexcept {
            const detail::SpinLock lock{mutex_};
            const Duration passed =
                elapsed(Instant{since_.time_since_epoch()}, Instant{now.time_since_epoch()});
            const std::chrono::duration<double, std::ratio<60>> minutes{passed};
            left_ = std::min(most_, left_ + std::max(0.0, minutes.count()) * most_);
            since_ = now;
            if (left_ < 1 || waiting_ >= most_) {
                ++dropped_;
                return false;
            }
            left_ -= 1;
            ++waiting_;
            return true;
        }
        void done(bool written) noexcept {
            const detail::SpinLock lock{mutex_};
            --waiting_;
            dropped_ += written ? 0 : 1;
        }
        [[nodiscard]] std::uint64_t dropped() noexcept {
            const detail::SpinLock lock{mutex_};
            return dropped_;
        }

    private:
        const double most_;
        detail::SpinMutex mutex_;
        double left_;
        unsigned waiting_ = 0;
        std::uint64_t dropped_ = 0;
        WallTime since_{};
    };
    /// Outlives the authorizer, whose answer may come late.
    struct Book {
        Book(Audit a, WallClock c, const AuditedOptions& o)
            : audit{std::move(a)},
              clock{std::move(c)},
              rate{std::make_shared<Rate>(o.refusals_per_minute)} {}
        /// A row, if there may be one more.
        void refuse(AuditRow row) {
            row.action = "refused";
            if (!rate->takes(row.time)) return;
            audit.record(std::move(row),
                         Completion<std::error_code>{
                             [kept = rate](std::optional<std::error_code> error) noexcept {
                                 kept->done(error && !*error);
                             }});
        }
        Audit audit;
        WallClock clock;
        const std::shared_ptr<Rate> rate;
    };
    class Refusals {
    public:
        explicit Refusals(std::shared_ptr<Book> book) noexcept : book_{std::move(book)} {}
        /// As beast::RefusedUpgrade says it.
        template <class Refused>
            requires requires(const Refused& r) {
                std::string{r.ip};
                std::string_view{r.path};
            }
        void on_refused(const Refused& r) {
            std::string ip{r.ip};
            if (ip.empty()) return;  // nobody had come
            const std::string_view asked =
                std::string_view{r.path}.substr(0, part::room_id_bytes_max);
            book_->refuse(
                {.board = std::string{asked}, .ip = std::move(ip), .time = book_->clock.now()});
        }
        [[nodiscard]] std::uint64_t dropped() const noexcept { return book_->rate->dropped(); }

    private:
        std::shared_ptr<Book> book_;
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
            book->refuse(std::move(row));
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

}}  // namespace belay
