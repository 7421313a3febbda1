// SPDX-License-Identifier: MIT
/// \file belay/room/on_thread.hpp
/// OnThread: runs a blocking persistence of rooms on a thread of its own.
#pragma once

#include <algorithm>           // std::min
#include <condition_variable>  // std::condition_variable
#include <cstddef>             // std::size_t
#include <cstdint>             // std::uint64_t
#include <deque>               // std::deque
#include <map>                 // std::map
#include <memory>              // std::unique_ptr
#include <mutex>               // std::mutex
#include <optional>            // std::optional
#include <span>                // std::span
#include <string>              // std::string
#include <string_view>         // std::string_view
#include <thread>              // std::thread
#include <utility>             // std::exchange, std::move
#include <variant>             // std::variant
#include <vector>              // std::vector

#include <belay/room/detail/room_positions.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of what may wait for the thread of an OnThread.
struct OnThreadOptions {
    /// The maximum number of calls; the next call is answered `storage_busy`.
    std::size_t calls_max = 100'000;
    /// The maximum number of bytes of the updates and snapshots in these calls; a call that would
    /// exceed it is answered `storage_busy`. If no bytes wait, a call of any length is accepted.
    std::size_t bytes_max = std::size_t{64} << 20;
};

/// Runs a blocking persistence on a thread of its own, call by call, in their order.
///
///     auto rooms = posix::JournalRooms::open("boards", std::move(*log));
///     OnThread persistence{std::move(*rooms)};
///
/// No call waits for that thread. If the persistence refuses a `reset`, `append` or `erase`, the
/// next flush reports the error and names the rooms. Positions are OnThread's own. If too much
/// waits, calls are answered `storage_busy`.
///
/// The destructor waits for the call in progress, without a limit of time, and drops the others
/// with their Completions. To complete all calls, flush first and wait for the answer.
///
/// Models:        PersistenceLike, with `lagging`.
/// Thread safety: one thread at a time; Completions are answered on the persistence's thread.
/// Blocks:        only in its destructor.   Throws: std::bad_alloc. If P throws, the program ends.
/// Memory:        the calls that wait, some 100 bytes for each room that was loaded or changed, and
///                16 bytes for each update that no snapshot covers.
template <class P>
class OnThread {
    // Static assertions and no constraint: a compiler's message about a failed constraint would
    // hide the sentence.
    static_assert(explain::persistence_like<P>());
    static_assert(!FanoutLike<P>,
                  "OnThread: P must not be a FanoutLike, because OnThread would hide its fan-out "
                  "from the manager; pass P to RoomManager directly");

public:
    /// P must answer inside its calls: a later answer is ignored.
    /// Pre: options.calls_max > 0.
    explicit OnThread(P persistence, OnThreadOptions options = {})
        : work_{std::make_unique<Work>(std::move(persistence), options)} {
        BELAY_PRECONDITION(options.calls_max > 0, "OnThread: calls_max must be > 0");
        work_->thread = std::thread{[work = work_.get()] { work->run(); }};
    }
    OnThread(OnThread&&) noexcept = default;
    OnThread& operator=(OnThread&&) noexcept = default;
    ~OnThread() = default;

    /// Loads a room.   Errors: storage_busy; those of P.
    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        if (!work_->takes(0))
            return done(Result<std::optional<StoredRoom>, PersistenceError>{busy()});
        work_->post(Load{std::string{id}, ++last_, std::move(done)}, 0);
    }
    /// Appends an update to a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> append(std::string_view id, BytesView update) {
        if (const std::error_code error = refused(id, update.size())) return error;
        work_->post(Append{std::string{id}, ++last_, {update.begin(), update.end()}},
                    update.size());
        return last_;
    }
    /// Begins the history of a room anew.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        if (const std::error_code error = refused(id, 0)) return error;
        work_->post(Reset{std::string{id}, ++last_, epoch}, 0);
        return last_;
    }
    /// Erases a room.   Errors: bad_room_id; storage_busy.
    [[nodiscard]] std::error_code erase(std::string_view id) {
        if (const std::error_code error = refused(id, 0)) return error;
        work_->post(Erase{std::string{id}, ++last_}, 0);
        return {};
    }
    /// Makes all changes before it durable.
    /// Errors: storage_busy; the first error of a change before it; those of P.
    void flush(Completion<PersistenceError> done) {
        if (!work_->takes(0)) return done(busy());
        work_->post(Flush{std::move(done)}, 0);
    }
    /// Saves a snapshot of a room.   Errors: storage_busy; those of P.
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        std::size_t size = 0;
        for (const Bytes& part : snapshot) size += part.size();
        if (!work_->takes(size)) return done(busy());
        work_->post(
            Save{std::string{id}, {snapshot.begin(), snapshot.end()}, covers, std::move(done)},
            size);
    }
    /// Lists stored rooms.   Errors: storage_busy; those of P.
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        if (!work_->takes(0))
            return done(Result<std::vector<std::string>, PersistenceError>{busy()});
        work_->post(List{std::string{after}, count, std::move(done)}, 0);
    }
    /// Returns what P's `lagging` returned after its last flush or save; nothing if P has no
    /// `lagging`.
    [[nodiscard]] std::optional<std::string> lagging() const { return work_->lagging(); }

private:
    struct Load {
        std::string id;
        std::uint64_t number;
        Completion<Result<std::optional<StoredRoom>, PersistenceError>> done;
    };
    struct Append {
        std::string id;
        std::uint64_t number;
        Bytes update;
    };
    struct Reset {
        std::string id;
        std::uint64_t number;
        Id epoch;
    };
    struct Erase {
        std::string id;
        std::uint64_t number;
    };
    struct Flush {
        Completion<PersistenceError> done;
    };
    struct Save {
        std::string id;
        std::vector<Bytes> snapshot;
        std::uint64_t covers;
        Completion<PersistenceError> done;
    };
    struct List {
        std::string after;
        std::size_t count;
        Completion<Result<std::vector<std::string>, PersistenceError>> done;
    };

    /// The state that both threads use, and the code that the other thread runs.
    class Work {
    public:
        Work(P persistence, const OnThreadOptions& options)
            : persistence_{std::move(persistence)}, options_{options} {}
        Work(const Work&) = delete;
        Work& operator=(const Work&) = delete;
        ~Work() {
            {
                const std::lock_guard lock{mutex_};
                ends_ = true;
            }
            changed_.notify_one();
            if (thread.joinable()) thread.join();
        }

        // ---- the user's thread ------------------------------------------------------------------

        [[nodiscard]] bool takes(std::size_t bytes) {
            const std::lock_guard lock{mutex_};
            const std::size_t room = options_.bytes_max - std::min(options_.bytes_max, bytes_);
            // A call longer than the limit would be refused for ever, so it is accepted if no bytes
            // wait.
            return calls_.size() < options_.calls_max && (bytes <= room || bytes_ == 0);
        }
        template <class C>
        void post(C call, std::size_t bytes) {
            {
                const std::lock_guard lock{mutex_};
                calls_.push_back({std::move(call), bytes});
                bytes_ += bytes;
            }
            changed_.notify_one();
        }
        [[nodiscard]] std::optional<std::string> lagging() {
            const std::lock_guard lock{mutex_};
            return lagging_;
        }

        // ---- the other --------------------------------------------------------------------------

        void run() {
            std::unique_lock lock{mutex_};
            for (;;) {
                changed_.wait(lock, [this] { return ends_ || !calls_.empty(); });
                if (ends_) return;
                std::size_t done = 0;
                {
                    Waiting next = std::move(calls_.front());
                    calls_.pop_front();
                    lock.unlock();
                    std::visit([this](auto& call) { this->make(call); }, next.call);
                    done = next.bytes;
                }
                lock.lock();
                bytes_ -= done;
            }
        }

        std::thread thread{};

    private:
        struct Waiting {
            std::variant<Load, Append, Reset, Erase, Flush, Save, List> call;
            std::size_t bytes;
        };

        void make(Load& call) {
            // A load whose answer is no longer wanted is skipped.
            if (!call.done.wanted()) return;
            driver::Question<Result<std::optional<StoredRoom>, PersistenceError>> asked;
            persistence_.load(call.id, asked.ask());
            std::optional<Result<std::optional<StoredRoom>, PersistenceError>> found =
                answer(asked);
            if (!found) return;
            if (*found && **found) {
                StoredRoom& room = ***found;
                room.position = positions_.loaded(call.id, {call.number, room.position});
            }
            call.done(std::move(*found));
        }
        void make(Append& call) {
            took(call.id, call.number, persistence_.append(call.id, call.update));
        }
        void make(Reset& call) {
            took(call.id, call.number, persistence_.reset(call.id, call.epoch));
        }
        void make(Erase& call) {
            if (const std::error_code error = persistence_.erase(call.id))
                return refused(call.id, error);
            positions_.erased(call.id, call.number);
        }
        void make(Flush& call) {
            driver::Question<PersistenceError> asked;
            persistence_.flush(asked.ask());
            std::optional<PersistenceError> error = answer(asked);
            if (!error) return;
            if (!*error) positions_.flushed();
            add_refused(*error);
            ask_lagging();
            call.done(std::move(*error));
        }
        void make(Save& call) {
            // Its caller has given up, and may have posted another one.
            if (!call.done.wanted()) return;
            const std::optional<std::uint64_t> covers = positions_.of(call.id, call.covers);
            if (!covers) return call.done(PersistenceError{RoomErrc::bad_position, {}, {}});
            driver::Question<PersistenceError> asked;
            persistence_.save(call.id, call.snapshot, *covers, asked.ask());
            std::optional<PersistenceError> error = answer(asked);
            if (!error) return;
            if (!*error) positions_.saved(call.id, call.covers);
            ask_lagging();
            call.done(std::move(*error));
        }
        void make(List& call) {
            if (!call.done.wanted()) return;
            driver::Question<Result<std::vector<std::string>, PersistenceError>> asked;
            persistence_.list(call.after, call.count, asked.ask());
            if (std::optional<Result<std::vector<std::string>, PersistenceError>> found =
                    answer(asked))
                call.done(std::move(*found));
        }

        /// Returns nothing if P dropped its Completion, so that the caller's Completion is dropped,
        /// too.
        template <class V>
        [[nodiscard]] static std::optional<V> answer(driver::Question<V>& asked) {
            if (!asked.answered()) return std::nullopt;
            return asked.take();
        }
        void took(const std::string& id, std::uint64_t number,
                  const Result<std::uint64_t>& position) {
            if (!position) return refused(id, position.error());
            positions_.add(id, {number, *position});
        }
        void refused(const std::string& id, std::error_code error) {
            if (refused_.empty()) first_refusal_ = error;
            refused_.try_emplace(id, error);
        }
        /// Adds the rooms of refused changes, which are not stored, to the error of a flush. An
        /// error that names no rooms concerns all of them, so none is added to it.
        void add_refused(PersistenceError& error) {
            const bool others = error && error.rooms.empty();
            if (!error && !refused_.empty())
                error = PersistenceError{first_refusal_, {}, "the persistence refused a change"};
            for (auto& [id, why] : std::exchange(refused_, {})) {
                if (!others) error.rooms.emplace_back(id, why);
            }
        }
        void ask_lagging() {
            if constexpr (detail::TellsLagging<P>) {
                std::optional<std::string> room = persistence_.lagging();
                const std::lock_guard lock{mutex_};
                lagging_ = std::move(room);
            }
        }

        // Used by the other thread and the destructor.
        P persistence_;
        detail::RoomPositions positions_{};
        std::map<std::string, std::error_code> refused_{};  // since the last flush
        std::error_code first_refusal_{};
        // Used by both threads.
        const OnThreadOptions options_;
        std::mutex mutex_{};
        std::condition_variable changed_{};
        std::deque<Waiting> calls_{};
        std::size_t bytes_ = 0;
        std::optional<std::string> lagging_{};
        bool ends_ = false;
    };

    [[nodiscard]] static PersistenceError busy() { return {RoomErrc::storage_busy, {}, {}}; }
    [[nodiscard]] std::error_code refused(std::string_view id, std::size_t bytes) const {
        if (!detail::is_room_id(id)) return RoomErrc::bad_room_id;
        return work_->takes(bytes) ? std::error_code{} : RoomErrc::storage_busy;
    }

    std::unique_ptr<Work> work_;
    std::uint64_t last_ = 0;
};

}}  // namespace belay
