// SPDX-License-Identifier: MIT
/// \file examples/whiteboard/boards_on_thread.hpp
/// Boards::OnThread: makes the calls of a server to a Boards on a thread of its own. So no
/// lock of another program and no disk delays a turn. Needs sqlite3.
#pragma once

#include <algorithm>           // std::min
#include <chrono>              // std::chrono::steady_clock
#include <condition_variable>  // std::condition_variable
#include <cstddef>             // std::size_t
#include <cstdint>             // std::int64_t
#include <deque>               // std::deque
#include <functional>          // std::function
#include <iterator>            // std::make_move_iterator
#include <limits>              // std::numeric_limits
#include <memory>              // std::unique_ptr
#include <mutex>               // std::mutex
#include <optional>            // std::optional
#include <span>                // std::span
#include <string>              // std::string
#include <string_view>         // std::string_view
#include <thread>              // std::thread
#include <utility>             // std::exchange, std::move
#include <vector>              // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/completion.hpp>
#include <belay/room/room_errc.hpp>

#include "boards.hpp"

namespace whiteboard { inline namespace BELAY_ABI {

using namespace belay;

/// Makes the calls of a server to a Boards on a thread of its own, and notices changed rights.
///
///     Boards::OnThread boards{std::move(*opened), {.on_changed = [&](std::string_view board) {
///         boost::asio::post(context, [&, board = std::string{board}] { check_again(board); });
///     }}};
///     auto rights = [&](const jwt::Claims& who, const RoomRequest& request,
///                       Completion<std::optional<Access>> answer) {
///         boards.access({.room_id = request.room_id, .user = who.subject}, std::move(answer));
///     };
///     jwt::Authorizer tokens{std::move(*verifier), rights};
///     Audited audited{std::move(tokens), boards.audit(), SystemClock{}};
///
/// No call waits. While another program holds a write lock, rights are answered, and rows of the
/// audit wait, for up to BoardsOptions::lock_within. Rows that wait are stored together.
///
/// The destructor waits until the thread has made the calls that it has begun with, each at most
/// once. It drops the others with their Completions.
///
/// Thread safety: its functions may be called on any thread; Completions are answered, and the
///                functions of the options called, on its own thread.
/// Blocks:        only in its destructor.   Throws: std::bad_alloc. If a function of the options
///                throws, the program ends.
class Boards::OnThread {
    class Work;

public:
    /// The limits of an OnThread, and the functions that it calls.
    struct Options {
        /// The maximum number of calls that wait. The next one is dropped, or answered
        /// `RoomErrc::storage_busy`.
        std::size_t calls_max = 10'000;
        /// How often it looks for rights that another program has changed.   Pre: > 0ns.
        Duration look_every = std::chrono::milliseconds{250};
        /// Called with the id of a board whose rights were changed, and with an empty one if those
        /// of any board may have changed. Pass it to RoomManager::reauthorize on the manager's
        /// thread.
        std::function<void(std::string_view board)> on_changed{};
        /// Called with the error of each rights check that is dropped, of each row of the audit
        /// that is not stored, and of each look for changes that failed. Not called for calls that
        /// the destructor drops.
        std::function<void(const std::error_code&)> on_failed{};
    };

    /// Records access in the audit of an OnThread, which must outlive it.
    ///
    /// Models: AuditLike.   Thread safety: as of OnThread.
    class Audit {
    public:
        /// Stores a row. Errors: storage_busy; those of Boards::record.
        void record(AuditRow row, Completion<std::error_code> answer) {
            work_->record(std::move(row), std::move(answer));
        }

    private:
        friend class OnThread;
        explicit Audit(Work& work) noexcept : work_{&work} {}
        Work* work_;
    };

    /// Starts the thread.
    explicit OnThread(Boards boards) : OnThread{std::move(boards), Options{}} {}
    /// Starts the thread.   Pre: options.calls_max > 0, options.look_every > 0ns.
    OnThread(Boards boards, Options options)
        : work_{std::make_unique<Work>(std::move(boards), std::move(options))} {}
    OnThread(OnThread&&) noexcept = default;
    OnThread& operator=(OnThread&&) noexcept = default;
    ~OnThread() = default;

    /// Answers the right of the user on the board; nothing if there is no such user, or no such
    /// board. Drops `answer` if the right cannot be determined, so that the client may try again
    /// later.
    void access(const Member& member, Completion<std::optional<Access>> answer) {
        work_->access(member, std::move(answer));
    }
    /// Stores a row of the audit.   Errors: storage_busy; those of Boards::record.
    void record(AuditRow row, Completion<std::error_code> answer) {
        work_->record(std::move(row), std::move(answer));
    }
    /// Returns a small object for Audited, which takes its audit by value.
    [[nodiscard]] Audit audit() noexcept { return Audit{*work_}; }

private:
    using Clock = std::chrono::steady_clock;
    struct Check {
        std::string room_id;
        std::string user;
        Clock::time_point until;
        Completion<std::optional<Access>> answer;
    };
    struct Row {
        AuditRow row;
        Clock::time_point until;
        Completion<std::error_code> answer;
    };
    struct Calls {
        std::deque<Check> checks{};
        std::deque<Row> rows{};
        std::size_t rejected = 0;  // calls to report, which are neither in checks nor in rows
        [[nodiscard]] std::size_t size() const noexcept { return checks.size() + rows.size(); }
    };

    /// The state that the threads share, and the code of its own thread.
    class Work {
    public:
        Work(Boards boards, Options options)
            : boards_{std::move(boards)}, options_{std::move(options)} {
            BELAY_OPTION(options_.calls_max > 0, "Boards::OnThread: calls_max must be > 0");
            BELAY_OPTION(options_.look_every > Duration{},
                         "Boards::OnThread: look_every must be > 0ns");
            // A call that meets a lock is made again, so that it does not delay the others.
            boards_.db_.wait_for_locks(Duration{});
            if (const auto version = boards_.data_version()) version_ = *version;
            const auto changes = boards_.changes(std::numeric_limits<std::int64_t>::max());
            if (changes) seen_ = changes->last;
            thread_ = std::thread{[this] { run(); }};
        }
        Work(const Work&) = delete;
        Work& operator=(const Work&) = delete;
        ~Work() {
            {
                const std::lock_guard lock{mutex_};
                ends_ = true;
            }
            changed_.notify_one();
            thread_.join();
        }

        void access(const Member& member, Completion<std::optional<Access>> answer) {
            const Clock::time_point until = deadline();
            {
                const std::lock_guard lock{mutex_};
                if (is_full()) return reject();
                arrived_.checks.push_back({std::string{member.room_id}, std::string{member.user},
                                           until, std::move(answer)});
            }
            changed_.notify_one();
        }
        void record(AuditRow row, Completion<std::error_code> answer) {
            const Clock::time_point until = deadline();
            {
                std::unique_lock lock{mutex_};
                if (is_full()) {
                    reject();
                    lock.unlock();
                    return answer(RoomErrc::storage_busy);
                }
                arrived_.rows.push_back({std::move(row), until, std::move(answer)});
            }
            changed_.notify_one();
        }

    private:
        // A call that met a lock is made again after this time.
        static constexpr auto again_after = std::chrono::milliseconds{10};
        // At most so many rows are stored in one transaction, which other programs wait for.
        static constexpr std::size_t rows_at_once = 256;

        [[nodiscard]] bool is_full() const noexcept {
            return arrived_.size() + waiting_ >= options_.calls_max;
        }
        // This does not wake the thread. It has calls to make, and reports afterwards.
        void reject() noexcept { ++arrived_.rejected; }
        [[nodiscard]] static Clock::time_point in(Duration time) noexcept {
            return Clock::now() + std::min<Duration>(time, std::chrono::hours{24});
        }
        [[nodiscard]] Clock::time_point deadline() const noexcept {
            return in(boards_.options_.lock_within);
        }

        void run() {
            Clock::time_point look_at = in(options_.look_every);
            std::unique_lock lock{mutex_};
            for (;;) {
                const bool again = waiting_ > 0;
                const Clock::time_point due =
                    again ? std::min(look_at, Clock::now() + again_after) : look_at;
                changed_.wait_until(lock, due, [this, again] {
                    return ends_ || arrived_.size() > 0 || (arrived_.rejected > 0 && !again);
                });
                if (ends_) return;
                take_arrived();
                lock.unlock();
                for (; calls_.rejected > 0; --calls_.rejected) report(RoomErrc::storage_busy);
                answer_checks();
                store_rows();
                if (Clock::now() >= look_at) {
                    look();
                    look_at = in(options_.look_every);
                }
                lock.lock();
                waiting_ = calls_.size();
            }
        }
        void take_arrived() {
            const auto append = [](auto& to, auto& from) {
                to.insert(to.end(), std::make_move_iterator(from.begin()),
                          std::make_move_iterator(from.end()));
                from.clear();
            };
            append(calls_.checks, arrived_.checks);
            append(calls_.rows, arrived_.rows);
            calls_.rejected = std::exchange(arrived_.rejected, 0);
            waiting_ = calls_.size();
        }
        [[nodiscard]] static bool waits(const std::error_code& error, Clock::time_point until) {
            return error == std::errc::device_or_resource_busy && Clock::now() < until;
        }

        void answer_checks() {
            std::deque<Check> again;
            for (Check& check : calls_.checks) {
                if (!check.answer.wanted()) continue;
                const Result<std::optional<Access>> found =
                    boards_.access({.room_id = check.room_id, .user = check.user});
                if (found) {
                    check.answer(*found);
                } else if (waits(found.error(), check.until)) {
                    again.push_back(std::move(check));
                } else {
                    report(found.error());
                }
            }
            // The others are dropped with their Completions.
            calls_.checks = std::move(again);
        }
        void store_rows() {
            while (!calls_.rows.empty()) {
                std::size_t count = std::min(rows_at_once, calls_.rows.size());
                std::error_code error = store_first(count);
                if (error && error != std::errc::device_or_resource_busy && count > 1) {
                    // One row must not reject the others.
                    count = 1;
                    error = store_first(count);
                }
                if (error == std::errc::device_or_resource_busy) return reject_late_rows(error);
                for (std::size_t i = 0; i < count; ++i) answer_first_row(error);
            }
        }
        [[nodiscard]] std::error_code store_first(std::size_t count) {
            std::vector<AuditRow> rows;
            for (std::size_t i = 0; i < count; ++i) rows.push_back(calls_.rows[i].row);
            return boards_.record(std::span<const AuditRow>{rows});
        }
        // Rows are in the order of their deadlines.
        void reject_late_rows(const std::error_code& error) {
            while (!calls_.rows.empty() && !waits(error, calls_.rows.front().until)) {
                answer_first_row(error);
            }
        }
        void answer_first_row(const std::error_code& error) {
            Row row = std::move(calls_.rows.front());
            calls_.rows.pop_front();
            row.answer(error);
            if (error) report(error);
        }
        void report(const std::error_code& error) {
            if (options_.on_failed) options_.on_failed(error);
        }
        void look() {
            const Result<std::int64_t> version = boards_.data_version();
            if (version && *version == version_) return;
            const Result<Changes> found =
                version ? boards_.changes(seen_) : Result<Changes>{version.error()};
            if (!found) return report(found.error());
            version_ = *version;
            seen_ = found->last;
            if (!options_.on_changed) return;
            if (found->all) options_.on_changed({});
            for (const std::string& board : found->boards) options_.on_changed(board);
        }

        // Used by the thread.
        Boards boards_;
        const Options options_;
        Calls calls_{};
        std::int64_t version_ = 0;
        std::int64_t seen_ = 0;
        // Used by all.
        std::mutex mutex_{};
        std::condition_variable changed_{};
        Calls arrived_{};
        std::size_t waiting_ = 0;  // of the calls that the thread has taken
        bool ends_ = false;
        std::thread thread_{};
    };

    std::unique_ptr<Work> work_;
};

}}  // namespace whiteboard
