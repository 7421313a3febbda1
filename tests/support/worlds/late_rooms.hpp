// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/late_rooms.hpp
/// A SharedStore behind a network: each call takes time, fails, or is carried out without an
/// answer.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <belay/sim/world.hpp>

#include "support/room/shared_rooms.hpp"

namespace belay_test {

/// The storage of all servers, and what is wrong with it.
struct LateStore {
    explicit LateStore(sim::World& w) : world{w} {}

    /// Nothing that a server asks for gets through, for a while.
    void break_off(int server) {
        if (std::exchange(store.servers[server].away, true)) return;
        store.servers[server].away = false;
        store.away(server, true);
        const auto lasts = std::chrono::milliseconds{
            100 + static_cast<std::int64_t>(world.choose("an outage lasts", 3000))};
        world.after(lasts, [this, server] { store.away(server, false); });
    }

    /// The storage has lost data.
    void note_loss() { ++losses_; }
    /// Whether no answer has shown a server yet what was lost.
    [[nodiscard]] bool unnoticed(int server) { return noticed_[server] != losses_; }
    [[nodiscard]] std::uint64_t losses() const { return losses_; }
    void note_compared(int server, std::uint64_t losses) { noticed_[server] = losses; }

    sim::World& world;
    SharedStore store{};
    std::uint32_t fails_percent = 0;  ///< of the calls, until the world heals

private:
    std::uint64_t losses_ = 0;
    std::map<int, std::uint64_t> noticed_{};  ///< the losses before the last comparison
};

/// One server's view of a LateStore. Its calls are carried out one after the other, as by the
/// thread of a redis::Rooms; answers keep that order.
class LateRooms {
    enum class Fate : std::uint8_t { works, fails, no_answer, late };
    struct Line : std::enable_shared_from_this<Line> {
        Line(LateStore& s, sim::Host& h, int n) : late{s}, host{h}, number{n}, inner{s.store, n} {}
        LateStore& late;
        sim::Host& host;
        const int number;
        SharedRooms inner;
        Instant free_at = always;      ///< for the next call
        Instant answered_at = always;  ///< the last answer
    };
    struct Look {
        std::weak_ptr<Line> line;
        void operator()() const {
            const auto l = line.lock();
            l->late.store.look(l->number);
            l->host.after(std::chrono::seconds{5}, *this);
        }
    };

public:
    LateRooms(LateStore& store, sim::Host& host, int number)
        : line_{std::make_shared<Line>(store, host, number)} {
        host.after(std::chrono::seconds{5}, Look{line_});
    }

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        using Answer = Result<std::optional<StoredRoom>, PersistenceError>;
        post([name = std::string{id}, c = std::move(done)](Line& l, Fate fate) mutable {
            if (!c.wanted()) return;
            if (fate == Fate::fails || fate == Fate::no_answer) l.late.break_off(l.number);
            l.inner.load(name, later<Answer>(l, fate, std::move(c)));
        });
    }
    Result<std::uint64_t> append(std::string_view id, BytesView update) {
        return line_->inner.append(id, update);
    }
    Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        return line_->inner.reset(id, epoch);
    }
    Result<std::uint64_t> begin(std::string_view id, const Id& epoch, bool again) {
        if (again) line_->late.world.reach("a lost history begins again");
        return line_->inner.begin(id, epoch, again);
    }
    std::error_code erase(std::string_view id) { return line_->inner.erase(id); }
    void flush(Completion<PersistenceError> done) {
        post([changes = line_->inner.take_staged(), c = std::move(done)](Line& l,
                                                                         Fate fate) mutable {
            if (fate == Fate::fails) l.late.break_off(l.number);
            std::size_t cut = ~std::size_t{0};
            if (fate == Fate::no_answer && !changes.empty()) {
                l.late.world.reach("a flush without an answer");
                cut = l.host.choose("cut", changes.size());
            }
            l.inner.carry_out(std::move(changes), cut,
                              later<PersistenceError>(l, fate, std::move(c)));
            if (fate == Fate::no_answer) l.late.break_off(l.number);
        });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        post([name = std::string{id}, parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()),
              covers, c = std::move(done)](Line& l, Fate fate) mutable {
            if (fate == Fate::fails) l.late.break_off(l.number);
            auto answer = later<PersistenceError>(l, fate, std::move(c));
            if (fate != Fate::no_answer)
                return l.inner.save(name, parts, covers, std::move(answer));
            l.inner.save(
                name, parts, covers,
                Completion<PersistenceError>{[](std::optional<PersistenceError>) noexcept {}});
            l.late.break_off(l.number);
            answer(SharedStore::lost());
        });
    }
    void list(std::string_view after, std::size_t count,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        line_->inner.list(after, count, std::move(done));
    }
    void publish(std::string_view id, BytesView message) {
        post([name = std::string{id}, bytes = Bytes(message.begin(), message.end())](
                 Line& l, Fate) mutable { l.inner.publish(name, bytes); });
    }
    void subscribe(std::string_view id, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        using Answer = Result<part::FanoutBatch, PersistenceError>;
        post([name = std::string{id}, from, c = std::move(done)](Line& l, Fate) mutable {
            l.inner.subscribe(name, from, later<Answer>(l, Fate::works, std::move(c)));
        });
    }

private:
    [[nodiscard]] static Duration travel(Line& l, const char* tag) {
        return std::chrono::milliseconds{1 + static_cast<std::int64_t>(l.host.choose(tag, 60))};
    }
    /// Runs `f(line, fate)` when it is its turn.
    template <class F>
    void post(F&& f) {
        Line& l = *line_;
        l.free_at = after(std::max(l.free_at, l.host.now()), travel(l, "there"));
        const Fate fate = draw();
        if (fate == Fate::late) l.free_at = after(l.free_at, std::chrono::seconds{4});
        l.host.at(l.free_at,
                  [weak = std::weak_ptr<Line>{line_}, fate, g = std::forward<F>(f)]() mutable {
                      const auto line = weak.lock();
                      if (line) g(*line, line->late.world.healed_at() ? Fate::works : fate);
                  });
    }
    [[nodiscard]] Fate draw() {
        const LateStore& late = line_->late;
        if (late.world.healed_at() || !line_->host.chance("fails", late.fails_percent))
            return Fate::works;
        return static_cast<Fate>(1 + line_->host.choose("fate", 3));
    }
    /// Whether an answer compares what the server has with what is stored.
    [[nodiscard]] static bool compares(const PersistenceError&) { return false; }
    [[nodiscard]] static bool compares(
        const Result<std::optional<StoredRoom>, PersistenceError>& answer) {
        return answer.has_value();
    }
    [[nodiscard]] static bool compares(const Result<part::FanoutBatch, PersistenceError>& answer) {
        return answer.has_value() &&
               (answer->state == part::FanoutBatch::State::gap || !answer->entries.empty());
    }
    /// A Completion that answers `done` later, unless the process ends before.
    template <class V>
    [[nodiscard]] static Completion<V> later(Line& l, Fate fate, Completion<V> done) {
        // In the middle of the time that a server waits: some answers are too late.
        const Duration more =
            fate == Fate::late
                ? std::chrono::milliseconds{static_cast<std::int64_t>(l.host.choose("late", 4000))}
                : Duration{};
        return Completion<V>{[weak = l.weak_from_this(), more,
                              c = std::move(done)](std::optional<V> answer) mutable noexcept {
            const auto line = weak.lock();
            if (!line || !answer) return;
            line->answered_at =
                std::max(line->answered_at, after(line->host.now(), travel(*line, "back") + more));
            line->host.at(line->answered_at, [c = std::move(c), v = std::move(*answer), weak,
                                              losses = line->late.losses()]() mutable {
                const auto alive = weak.lock();
                if (alive && compares(v)) alive->late.note_compared(alive->number, losses);
                c(std::move(v));
            });
        }};
    }

    std::shared_ptr<Line> line_;
};

}  // namespace belay_test
