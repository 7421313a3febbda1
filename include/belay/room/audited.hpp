// SPDX-License-Identifier: MIT
/// \file belay/room/audited.hpp
/// Audited: an authorizer that admits a client only after the access was recorded.
/// AuditLike and AuditRow: what records which user accessed which room.
#pragma once

#include <algorithm>     // std::min
#include <chrono>        // std::chrono::minutes
#include <concepts>      // std::same_as
#include <cstdint>       // std::uint64_t
#include <memory>        // std::shared_ptr
#include <optional>      // std::optional
#include <string>        // std::string, std::string_view
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/assert.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/room/authorizer_like.hpp>

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

/// Limits the rejections that an Audited records.
struct AuditedOptions {
    /// The maximum number of rejections that are recorded at once, and per minute from then on. In
    /// the first minute up to twice as many are recorded. At most as many rejections wait to be
    /// recorded. A flood of rejected clients therefore does not fill the disk.
    /// `rejections().dropped()` counts the rejections that were not recorded.
    unsigned rejections_per_minute = 60;
};

/// An authorizer that records each access before it takes effect.
///
/// It asks another authorizer, and records each access that this one grants. If the row cannot be
/// recorded, or if the audit throws, the client is not admitted. If a client is checked again
/// (RoomManager::reauthorize), its access is recorded again. A rejection is recorded as a row whose
/// action is `rejected`. The client's rejection does not wait for that row.
///
/// Models:        AuthorizerLike.
/// Thread safety: that of its parts. The audit is called where the authorizer answers.
template <class Authorizer, class Audit, WallClockLike WallClock>
class Audited {
    // Static assertions and no constraints: a compiler's message about a failed constraint would
    // hide the sentences.
    static_assert(explain::authorizer_like<Authorizer>());
    static_assert(explain::audit_like<Audit>());

public:
    /// Makes an authorizer that asks `authorizer`, and records its answers in `audit`.
    Audited(Authorizer authorizer, Audit audit, WallClock clock, AuditedOptions options = {})
        : authorizer_{std::move(authorizer)},
          recorder_{std::make_shared<Recorder>(std::move(audit), std::move(clock), options)} {}

    /// Asks the authorizer, and answers when the access is recorded, or rejected.
    void check(const RoomRequest& request, Completion<Grant> answer) {
        AuditRow row{
            .room_id = request.room_id, .ip = request.ip, .user_agent = request.user_agent};
        authorizer_.check(request,
                          Completion<Grant>{Granted{recorder_, std::move(row), std::move(answer)}});
    }

    /// Returns an observer that records the rejections of a listener, at the same rate.
    ///
    /// A listener such as beast::Listener rejects some connections before an authorizer is asked.
    /// The row's `room_id` contains the path that the peer requested, as the peer wrote it; only
    /// its first room_id_bytes_max bytes are recorded. A rejection without an ip concerns no
    /// connection, so it is neither recorded nor counted.
    ///
    /// You may copy the observer. It keeps the audit alive. Its `dropped()` returns how many
    /// rejections have no row, counting those of the listener and those of the authorizer.
    ///
    ///     auto rejections = audited.rejections();
    ///     beast::Listener listener{loop, on_accept, {}, rejections};  // or Tee{Log{}, rejections}
    ///
    /// Pre: this object was not moved from.
    /// Thread safety: the observer calls the audit and the clock on the listener's thread. If the
    /// authorizer answers on another thread, both must be safe to call from both threads.
    [[nodiscard]] auto rejections() const {
        BELAY_PRECONDITION(recorder_ != nullptr,
                           "Audited::rejections: call it before you move the object");
        return Rejections{recorder_};
    }

private:
    /// Limits the rejections that are recorded. The Completions that the audit receives refer only
    /// to this object, so an audit that stores them does not keep itself alive.
    class Rate {
    public:
        explicit Rate(unsigned per_minute) noexcept
            : most_{per_minute}, cost_{minute / (per_minute != 0 ? per_minute : 1)} {}
        /// Returns whether one more rejection may be recorded.
        [[nodiscard]] bool takes(WallTime now) noexcept {
            const detail::SpinLock lock{mutex_};
            const Duration passed =
                elapsed(Instant{since_.time_since_epoch()}, Instant{now.time_since_epoch()});
            left_ = std::min(minute, part::saturating_add(left_, passed));
            since_ = now;
            if (left_ < cost_ || waiting_ >= most_) {
                ++dropped_;
                return false;
            }
            left_ -= cost_;
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
        static constexpr Duration minute = std::chrono::minutes{1};
        const unsigned most_;
        const Duration cost_;  // of one rejection
        detail::SpinMutex mutex_;
        Duration left_ = minute;
        unsigned waiting_ = 0;
        std::uint64_t dropped_ = 0;
        WallTime since_{};
    };
    /// Outlives the authorizer, because its answer may come late.
    struct Recorder {
        Recorder(Audit a, WallClock c, const AuditedOptions& o)
            : audit{std::move(a)},
              clock{std::move(c)},
              rate{std::make_shared<Rate>(o.rejections_per_minute)} {}
        /// Records a rejection, unless that exceeds the limit.
        void record_rejection(AuditRow row) {
            row.action = "rejected";
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
    class Rejections {
    public:
        explicit Rejections(std::shared_ptr<Recorder> recorder) noexcept
            : recorder_{std::move(recorder)} {}
        /// Records a beast::RejectedUpgrade, or another type with the same `ip` and `path`.
        template <class Rejected>
            requires requires(const Rejected& r) {
                std::string{r.ip};
                std::string_view{r.path};
            }
        void on_rejected(const Rejected& r) {
            std::string ip{r.ip};
            if (ip.empty()) return;  // no connection was accepted
            const std::string_view asked =
                std::string_view{r.path}.substr(0, part::room_id_bytes_max);
            recorder_->record_rejection({.room_id = std::string{asked},
                                         .ip = std::move(ip),
                                         .time = recorder_->clock.now()});
        }
        [[nodiscard]] std::uint64_t dropped() const noexcept { return recorder_->rate->dropped(); }

    private:
        std::shared_ptr<Recorder> recorder_;
    };
    struct Granted {
        std::shared_ptr<Recorder> recorder;
        AuditRow row;
        Completion<Grant> answer;
        /// After an exception, the question is answered: nothing, or the rejection.
        void operator()(std::optional<Grant> grant) noexcept {
            if (!grant || !answer.wanted()) return;
#if defined(__cpp_exceptions)
            try {
                record(std::move(*grant));
            } catch (...) {
                const Completion<Grant> unanswered{std::move(answer)};
            }
#else
            record(std::move(*grant));
#endif
        }
        void record(Grant grant) {
            row.user = grant.user;
            row.level = grant.access;
            row.time = recorder->clock.now();
            if (grant.access == Access::none) return deny(std::move(grant));
            recorder->audit.record(std::move(row), Completion<std::error_code>{Written{
                                                       std::move(grant), std::move(answer)}});
        }
        void deny(Grant grant) {
            answer(std::move(grant));
            recorder->record_rejection(std::move(row));
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
    std::shared_ptr<Recorder> recorder_;
};

}}  // namespace belay
