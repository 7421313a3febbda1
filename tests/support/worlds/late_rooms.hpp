// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/late_rooms.hpp
/// A SharedStore behind a network: each call takes time, and the faults of a scenario hit it.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/sim/world.hpp>

#include "support/room/shared_rooms.hpp"
#include "support/room/storage_host.hpp"

namespace belay_test {

/// The storage of all servers. Each server reaches it over a host "storage n", whose faults hit the
/// calls of that server. A call is lost while that host is dead, waits while it is frozen, and is
/// carried out without an answer while the network loses its messages. Answers wait while the host
/// is frozen, too: it may be frozen between a call and its answer. If its disk rejects an
/// operation, so does the storage. If the n-th operation of its disk fails, the connection ends
/// after the n-th change.
struct LateStore {
    using Reach = StorageHost::Reach;

    explicit LateStore(sim::World& w) : world{w} {}

    /// Makes the hosts, before the world runs.
    void serve(int servers) {
        for (int n = 0; n < servers; ++n) hosts.emplace_back(world, "storage " + std::to_string(n));
        broken_until_.resize(hosts.size(), always);
    }
    /// Lets a host "feed" report the changes, before the world runs. The faults of this host hit
    /// the subscriptions, and no other call.
    void report_by_feed() { feed_.emplace(world, "feed"); }
    /// Begins to serve a process.
    void connect(int server, const sim::Host& host) {
        broken_until_[static_cast<std::size_t>(server)] = always;
        started_at_[server] = store.last;
        static_cast<void>(reach(server, host));
    }
    /// Loses all calls of a server for a second.
    void break_off(int server) {
        if (store.servers[server].away) return;
        broken_until_[static_cast<std::size_t>(server)] =
            after(world.now(), std::chrono::seconds{1});
        store.away(server, true);
    }
    /// Returns how a call of this server ends now, and sets the state of the store for that.
    Reach reach(int server, const sim::Host& host) {
        const auto at = static_cast<std::size_t>(server);
        const bool broken = !world.healed_at() && world.now() < broken_until_[at];
        const Reach reached = broken ? Reach::away : hosts[at].reach(host);
        SharedStore::Server& state = store.servers[server];
        state.unanswered = reached == Reach::unanswered;
        if (state.away != (reached == Reach::away)) store.away(server, !state.away);
        const bool fed = !feed_ || feed_->reach(host) == Reach::works;
        if (!fed && reached == Reach::works) world.reach("changes are not reported");
        const bool untold = reached != Reach::works || !fed;
        if (state.unsubscribed != untold) store.unsubscribed(server, untold);
        if (reached == Reach::unanswered) world.reach("the storage is unanswered");
        return reached;
    }
    [[nodiscard]] bool frozen(int server, const sim::Host& host) const {
        return hosts[static_cast<std::size_t>(server)].reach(host) == Reach::late;
    }

    /// Notes how much of a room its snapshot covers now.
    void note_snapshot(const std::string& id) {
        const auto found = store.rooms.find(id);
        if (found == store.rooms.end()) return;
        std::uint64_t& covered = covered_[id];
        covered = std::max(covered, found->second.covers);
    }
    /// Returns the number of entries that a server has stored since it started, and that no snapshot
    /// has covered. If the storage loses a snapshot, but no entry, no server notices: the next edit
    /// causes the next save.
    [[nodiscard]] std::size_t owed() {
        std::size_t count = 0;
        for (const auto& [id, room] : store.rooms) {
            for (const SharedStore::Entry& e : room.entries)
                count += e.position > std::max(started_at_[e.server], covered_[id]) ? 1U : 0U;
        }
        return count;
    }

    /// Notes that the storage has lost data.
    void note_loss() { ++losses_; }
    /// Whether no answer has shown a server yet which data was lost.
    [[nodiscard]] bool unnoticed(int server) { return noticed_[server] != losses_; }
    [[nodiscard]] std::uint64_t losses() const { return losses_; }
    void note_compared(int server, std::uint64_t losses) { noticed_[server] = losses; }

    sim::World& world;
    SharedStore store{};
    std::vector<StorageHost> hosts{};

private:
    std::optional<StorageHost> feed_{};
    std::vector<Instant> broken_until_{};
    std::uint64_t losses_ = 0;
    std::map<int, std::uint64_t> started_at_{};  ///< the last position before the process started
    std::map<int, std::uint64_t> noticed_{};     ///< the losses before the last comparison
    /// The last position that a snapshot has ever covered.
    std::map<std::string, std::uint64_t> covered_{};
};

/// One server's view of a LateStore. Its calls are carried out one after the other, as by the
/// thread of a redis::Rooms; answers keep that order.
class LateRooms {
    using Reach = LateStore::Reach;
    using Batch = Result<part::FanoutBatch, PersistenceError>;
    struct Line : std::enable_shared_from_this<Line> {
        Line(LateStore& s, sim::Host& h, int n) : late{s}, host{h}, number{n}, inner{s.store, n} {}

        /// Carries out the calls that wait, in their order, unless the storage is frozen.
        void carry_out() {
            while (!waiting.empty() && may_carry_out()) {
                auto call = std::move(waiting.front());
                waiting.pop_front();
                call(*this);
            }
        }
        /// One call may be carried out before the storage is frozen, and answered after it.
        [[nodiscard]] bool may_carry_out() {
            const bool is_frozen = late.reach(number, host) == Reach::late;
            const bool begins = !std::exchange(frozen, is_frozen);
            return !is_frozen || (begins && host.chance("frozen before the answer", 75));
        }
        /// Sends the answers that are ready, in their order, unless the storage is frozen.
        void send_answers() {
            while (!answers.empty() && !late.frozen(number, host)) {
                auto answer = std::move(answers.front());
                answers.pop_front();
                answer();
            }
        }

        LateStore& late;
        sim::Host& host;
        const int number;
        SharedRooms inner;
        Instant free_at = always;      ///< for the next call
        Instant answered_at = always;  ///< the last answer
        bool frozen = false;           ///< at the last call
        std::deque<detail::Function<void(Line&)>> waiting{};
        std::deque<detail::Function<void()>> answers{};
    };
    /// Applies the faults of the host, and compares all rooms every five seconds.
    struct Look {
        std::weak_ptr<Line> line;
        int count = 1;
        void operator()() const {
            const auto l = line.lock();
            static_cast<void>(l->late.reach(l->number, l->host));
            l->send_answers();
            l->carry_out();
            if (count % 50 == 0) l->late.store.look(l->number);
            l->host.after(std::chrono::milliseconds{100}, Look{line, count + 1});
        }
    };

public:
    LateRooms(LateStore& store, sim::Host& host, int number)
        : line_{std::make_shared<Line>(store, host, number)} {
        store.connect(number, host);
        host.after(std::chrono::milliseconds{100}, Look{line_});
    }

    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        using Answer = part::LoadedRoom;
        post([name = std::string{id}, c = std::move(done)](Line& l) mutable {
            if (c.wanted()) l.inner.load(name, later<Answer>(l, std::move(c)));
        });
    }
    std::error_code append(std::string_view id, BytesView update,
                           const part::ChangeId& change = {}) {
        return line_->inner.append(id, update, change);
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        return line_->inner.reset(id, epoch);
    }
    std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        if (again) line_->late.world.reach("a lost history begins again");
        return line_->inner.begin(id, epoch, again);
    }
    std::error_code erase(std::string_view id) { return line_->inner.erase(id); }
    void flush(Completion<part::FlushedRooms> done) {
        post([changes = line_->inner.take_staged(), c = std::move(done)](Line& l) mutable {
            std::size_t cut = ~std::size_t{0};
            if (!l.late.store.servers[l.number].away) cut = store_changes(l, changes.size());
            l.inner.carry_out(std::move(changes), cut, later<part::FlushedRooms>(l, std::move(c)));
            if (cut != ~std::size_t{0}) l.late.break_off(l.number);
        });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        post([name = std::string{id}, parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()),
              covers, c = std::move(done)](Line& l) mutable {
            const bool is_lost = !l.late.store.servers[l.number].away && is_cut(l, 0);
            auto answer = later<PersistenceError>(l, std::move(c));
            if (!is_lost) {
                l.inner.save(name, parts, covers, std::move(answer));
                return l.late.note_snapshot(name);
            }
            l.inner.save(
                name, parts, covers,
                Completion<PersistenceError>{[](std::optional<PersistenceError>) noexcept {}});
            l.late.note_snapshot(name);
            l.late.break_off(l.number);
            answer(SharedStore::lost());
        });
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        line_->inner.list(after, count, std::move(done));
    }
    void publish(std::string_view id, BytesView message) {
        post([name = std::string{id}, bytes = Bytes(message.begin(), message.end())](
                 Line& l) mutable { l.inner.publish(name, bytes); });
    }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Batch> done) {
        post([name = std::string{id}, epoch, from, c = std::move(done)](Line& l) mutable {
            // An unwanted one ends the subscription.
            l.inner.subscribe(name, epoch, from,
                              c.wanted() ? answer_of(l, name, std::move(c)) : std::move(c));
        });
    }

private:
    [[nodiscard]] static Duration travel(Line& l, const char* tag) {
        return std::chrono::milliseconds{1 + static_cast<std::int64_t>(l.host.choose(tag, 60))};
    }
    /// Runs `f(line)` when it is its turn.
    template <class F>
    void post(F&& f) {
        Line& l = *line_;
        l.free_at = after(std::max(l.free_at, l.host.now()), travel(l, "there"));
        l.host.at(l.free_at, [weak = std::weak_ptr<Line>{line_}, g = std::forward<F>(f)]() mutable {
            const auto line = weak.lock();
            if (!line) return;
            line->waiting.emplace_back(std::move(g));
            line->carry_out();
        });
    }
    /// Stores some changes on the disk of the storage.   Returns: the one after which the
    /// connection ends, if any.
    [[nodiscard]] static std::size_t store_changes(Line& l, std::size_t count) {
        l.late.store.servers[l.number].full = false;
        for (std::size_t i = 0; i < count; ++i) {
            if (!is_cut(l, i)) continue;
            l.late.world.reach("a flush without an answer");
            return i;
        }
        return ~std::size_t{0};
    }
    /// Stores one change.   Returns: whether the connection ends after it.
    [[nodiscard]] static bool is_cut(Line& l, std::size_t place) {
        const auto change = l.late.hosts[static_cast<std::size_t>(l.number)].store_change();
        // Disks begin to refuse between calls, because a flush takes no time here: all of its
        // changes are refused, or none.
        if (change == StorageHost::Change::refused && place == 0)
            l.late.store.servers[l.number].full = true;
        return change == StorageHost::Change::unanswered;
    }
    /// Whether an answer compares the server's data with the stored data.
    [[nodiscard]] static bool compares(const PersistenceError&) { return false; }
    [[nodiscard]] static bool compares(const part::FlushedRooms&) { return false; }
    [[nodiscard]] static bool compares(const part::LoadedRoom& answer) {
        return answer.has_value();
    }
    [[nodiscard]] static bool compares(const Batch& answer) {
        return answer.has_value() &&
               (answer->state == part::FanoutBatch::State::gap || !answer->entries.empty());
    }
    /// A Completion that answers `done` later, unless the process ends before.
    template <class V>
    [[nodiscard]] static Completion<V> later(Line& l, Completion<V> done) {
        return Completion<V>{[weak = l.weak_from_this(),
                              c = std::move(done)](std::optional<V> answer) mutable noexcept {
            const auto line = weak.lock();
            if (!line || !answer) return;
            line->answered_at =
                std::max(line->answered_at, after(line->host.now(), travel(*line, "back")));
            line->host.at(line->answered_at, [c = std::move(c), v = std::move(*answer), weak,
                                              losses = line->late.losses()]() mutable {
                const auto alive = weak.lock();
                if (!alive) return;
                alive->answers.emplace_back([c = std::move(c), v = std::move(v), weak,
                                             losses]() mutable { deliver(weak, c, v, losses); });
                alive->send_answers();
            });
        }};
    }

    /// As `later`. Ends the subscription if its caller has dropped it.
    [[nodiscard]] static Completion<Batch> answer_of(Line& l, const std::string& id,
                                                     Completion<Batch> done) {
        return Completion<Batch>{[weak = l.weak_from_this(), id, c = std::move(done)](
                                     std::optional<Batch> answer) mutable noexcept {
            const auto line = weak.lock();
            if (!line || !answer) return;
            if (!c.wanted()) return line->inner.subscribe(id, {}, 0, std::move(c));
            later(*line, std::move(c))(std::move(*answer));
        }};
    }

    template <class V>
    static void deliver(const std::weak_ptr<Line>& line, Completion<V>& done, V& answer,
                        std::uint64_t losses) {
        const auto alive = line.lock();
        if (alive && compares(answer)) alive->late.note_compared(alive->number, losses);
        done(std::move(answer));
    }

    std::shared_ptr<Line> line_;
};

}  // namespace belay_test
