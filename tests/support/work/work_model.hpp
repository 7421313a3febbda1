// SPDX-License-Identifier: MIT
/// \file tests/support/work/work_model.hpp
/// A script of calls on a WorkQueue, and a plain model of its results, and of the items that
/// must survive a crash.
#pragma once

#include <belay/work/work_queue.hpp>
#include <map>
#include <set>

#include "support/journal/journal_model.hpp"
#include "support/journal/memory_log.hpp"

namespace belay_test {

using namespace std::chrono_literals;

/// Logs by the medium on which they are stored.
inline auto open_log(belay::sim::Disk& disk, std::uint64_t seed) {
    return SimJournal::open(disk, "w", small_journal(seed));
}
inline belay::Result<MemoryLog> open_log(MemoryMedium& medium, std::uint64_t) {
    if (medium.calls >= medium.fails_from && !medium.fails_once) return medium.fails_with;
    return MemoryLog{medium};
}

/// The sizes are so small that a short script reaches every limit, starts segments, and copies
/// forward.
inline belay::WorkOptions small_work() {
    return {.lease = 10s,
            .deliveries_max = 3,
            .keys = 8,
            .items_max = 40,
            .record_bytes_max = 1024,
            .slack_bytes = 1500};
}

enum class WorkCall {
    push,
    commit,
    lease,
    ack,
    nack,
    extend,
    tick,
    reopen,
    revive,
    purge,
    forget_key
};

template <class Medium = belay::sim::Disk>
class WorkModel {
    using Log = typename decltype(open_log(std::declval<Medium&>(), 0))::value_type;
    using Work = belay::WorkQueue<Log>;

public:
    using Call = WorkCall;

    WorkModel(Medium& medium, std::uint64_t seed, belay::WorkOptions options = small_work())
        : medium_{medium}, seed_{seed}, options_{options} {}

    /// Makes a call and checks its result; returns false if it failed, or was wrong (then with a
    /// message).
    bool call(Call what, std::uint64_t draw) {
        if (!work_ && !open()) return false;
        const bool good = make(what, draw);
        return good && message_.empty() && (work_ == std::nullopt || counts_match());
    }

    void drop_process() { work_.reset(); }

    /// Opens the queue after a crash, and checks the contract. The model then has the values of the
    /// queue.
    bool recover() {
        if (!open()) return wrong("open: " + open_error_);
        return accept();
    }

    /// Checks the contract of a queue that is opened after a crash.
    bool accept() {
        const std::uint64_t last = found_last_;
        if (last < durable_) return wrong("the log lost something durable");
        std::erase_if(history_, [last](const Pushed& p) { return p.id > last; });
        std::map<std::uint64_t, Item> found;
        std::uint64_t before = 0;
        const auto look = [&](const belay::WorkItem& shown) {
            if (shown.id <= before) wrong("not in order");
            before = shown.id;
            look_at(shown, last, found);
        };
        if (work_->for_each(look)) return !disk_fails && wrong("for_each failed");
        before = 0;
        if (work_->for_each_dead(look)) return !disk_fails && wrong("for_each_dead failed");
        for (const auto& [id, item] : items_) {
            if (id <= last && !found.contains(id)) return wrong("an item is lost");
        }
        if (!message_.empty()) return false;
        items_ = std::move(found);
        gone_.clear();
        durable_ = last;
        return counts_match() && keys_are_known();
    }

    /// An orderly end, and a new start: only the leases end.
    bool reopen() {
        work_.reset();
        if (!open()) return false;
        // The end is no promise then: what was not committed may be lost.
        if (disk_fails) return accept();
        for (auto& [id, item] : items_) {
            if (item.state == State::leased) item.state = State::ready;
            if (item.state == State::delayed && item.due <= now_.now) item.state = State::ready;
            item.leased = item.noted;
        }
        return true;
    }

    bool open() {
        auto journal = open_log(medium_, seed_);
        open_error_ = journal ? std::string{} : journal.error().message();
        if (!journal) return false;
        found_last_ = journal->last();
        auto opened = Work::open(std::move(*journal), options_, now_);
        if (!opened) open_error_ = opened.error().message();
        if (!opened) return false;
        work_.emplace(std::move(*opened));
        return true;
    }

    Work& work() { return *work_; }
    [[nodiscard]] const std::string& message() const { return message_; }
    [[nodiscard]] belay::Moment now() const { return now_; }

    bool disk_fails = false;  ///< a call of the disk fails, perhaps during an orderly end

private:
    using State = belay::WorkItem::State;
    struct Item {
        belay::Bytes body;
        State state = State::ready;
        std::uint32_t leased = 0;
        std::uint32_t noted = 0;  // the part of these that is in the log
        belay::Instant due{};
        bool due_is_known = true;
        std::optional<belay::WallTime> expires;
        bool was_revived = false;      // it does not expire then
        bool revival_is_known = true;  // a crash may have undone it
        belay::Lease lease{};
    };
    struct Pushed {
        std::uint64_t id;
        std::string key;
        belay::Bytes body;
        bool is_freed = false;  // its key
    };

    bool wrong(const std::string& what) {
        if (message_.empty()) message_ = what;
        return false;
    }

    bool make(Call what, std::uint64_t draw) {
        switch (what) {
            case Call::push:
                return push(draw);
            case Call::commit: {
                if (work_->commit()) return false;
                durable_ = work_->log().last();
                for (const auto& [id, item] : gone_) over_.insert(id);
                gone_.clear();
                return true;
            }
            case Call::lease:
                return lease();
            case Call::ack:
                return with_lease(draw, [&](std::uint64_t id, Item& item) {
                    // If the disk fails during the call, the result is unknown, too.
                    const std::error_code error = work_->ack(item.lease);
                    gone_[id] = item;
                    items_.erase(id);
                    return !error;
                });
            case Call::nack:
                return with_lease(draw, [&](std::uint64_t, Item& item) {
                    return nack(item, std::chrono::milliseconds{draw / 64 % 4 * 3000},
                                draw / 256 % 3 == 0);
                });
            case Call::extend:
                return with_lease(draw, [&](std::uint64_t, Item& item) {
                    if (work_->extend(item.lease, now_, 25s)) return false;
                    item.state = State::leased;
                    item.due = now_.now + 25s;
                    return true;
                });
            case Call::tick: {
                const std::chrono::milliseconds step{draw % 4000};
                now_ = {now_.now + step, now_.wall + step};
                return true;
            }
            case Call::reopen:
                return reopen();
            case Call::revive:
                return revive(draw);
            case Call::purge:
                return purge();
            case Call::forget_key:
                return forget_key(draw);
            default:
                return true;
        }
    }

    bool push(std::uint64_t draw) {
        const std::uint64_t number = work_->log().last() + 1;
        const belay::Bytes body = body_of(number % 7 + draw % 3, 1);
        belay::PushOptions with;
        std::string key;
        if (options_.keys != 0 && draw / 4 % 3 == 0)
            key = "key " + std::to_string(draw / 16 % (options_.keys * 3 / 2));
        with.key = key;
        if (draw / 256 % 5 == 0) with.delay = std::chrono::milliseconds{draw / 2048 % 9000};
        if (draw / 32768 % 6 == 0) with.expires_after = std::chrono::milliseconds{1 + draw % 20000};
        const auto id = work_->push(body, now_, with);
        const std::error_code expected = expected_of_push(key, body);
        if (!id) {
            // Any other error is the disk's.
            return id.error() == expected ||
                   (id.error().category() == belay::detail::queue_category()
                        ? wrong("push: " + id.error().message())
                        : false);
        }
        if (expected) return wrong("push took what it should refuse");
        if (*id != number) return wrong("a wrong id");
        Item item;
        item.body = body;
        if (with.delay > 0ns) {
            item.state = State::delayed;
            item.due = now_.now + with.delay;
        }
        if (with.expires_after != belay::forever) item.expires = now_.wall + with.expires_after;
        items_[*id] = item;
        gone_.erase(*id);
        if (!key.empty()) history_.push_back({*id, key, body});
        return true;
    }
    [[nodiscard]] std::error_code expected_of_push(const std::string& key,
                                                   const belay::Bytes& body) const {
        using belay::QueueErrc;
        for (std::size_t i = history_.size(); !key.empty() && i-- != 0;) {
            if (history_.size() - i > options_.keys) break;
            if (history_[i].key != key || history_[i].is_freed) continue;
            return make_error_code(history_[i].body == body ? QueueErrc::duplicate
                                                            : QueueErrc::key_conflict);
        }
        if (body.size() + belay::detail::work_overhead_max > options_.record_bytes_max) {
            return make_error_code(QueueErrc::too_large);
        }
        if (items_.size() >= options_.items_max) return make_error_code(QueueErrc::queue_full);
        return {};
    }

    void wake() {
        for (auto& [id, item] : items_) {
            if (item.state != State::leased && item.state != State::delayed) continue;
            if (item.due > now_.now) continue;
            if (item.state == State::leased) item.noted = item.leased;
            item.state = State::ready;
        }
    }
    bool lease() {
        wake();
        const auto got = work_->lease(now_);
        if (!got && got.error() != belay::QueueErrc::queue_empty) return false;
        for (auto& [id, item] : items_) {
            // A delay that a crash cut may have begun at its note, or not at all.
            if (got && got->id == id && item.state == State::delayed && !item.due_is_known) {
                item.state = State::ready;
            }
            if (item.state != State::ready) continue;
            if (!item.revival_is_known && got && got->id == id) item.revival_is_known = true;
            const bool can_expire = !item.was_revived || !item.revival_is_known;
            if ((can_expire && item.expires && *item.expires <= now_.wall) ||
                item.leased >= options_.deliveries_max) {
                if (got && got->id == id) return wrong("leased what is dead");
                item.state = State::dead;
                item.noted = item.leased;
                if (can_expire && item.expires && *item.expires <= now_.wall) free_key(id);
                continue;
            }
            if (!got) return wrong("leased nothing");
            if (got->id != id) return wrong("leased another than the first");
            return leased(*got, item);
        }
        return got ? wrong("leased what is not there") : true;
    }
    bool leased(const belay::Lease& got, Item& item) {
        if (!std::equal(got.body.begin(), got.body.end(), item.body.begin(), item.body.end())) {
            return wrong("a wrong body");
        }
        ++item.leased;
        if (got.delivery != item.leased) return wrong("a wrong count of deliveries");
        if (got.deadline != now_.now + options_.lease) return wrong("a wrong deadline");
        item.state = State::leased;
        item.due = got.deadline;
        item.due_is_known = true;
        item.lease = got;
        if (options_.count_before_lease) item.noted = item.leased;
        return true;
    }

    /// Calls `f` for one of the leases that are still valid.
    template <class F>
    bool with_lease(std::uint64_t draw, F f) {
        std::vector<std::uint64_t> ids;
        for (const auto& [id, item] : items_) {
            if (item.state == State::leased) ids.push_back(id);
        }
        if (ids.empty()) return true;
        const std::uint64_t id = ids[draw % ids.size()];
        const belay::Lease used = items_.at(id).lease;
        if (!f(id, items_.at(id))) return false;
        const bool ended = !items_.contains(id) || items_.at(id).state != State::leased;
        if (ended && work_->ack(used) != belay::QueueErrc::lease_ended) {
            return wrong("a lease counts that has ended");
        }
        return true;
    }
    bool nack(Item& item, std::chrono::milliseconds delay, bool releases) {
        if (releases ? work_->release(item.lease, now_, delay)
                     : work_->nack(item.lease, now_, delay)) {
            return false;
        }
        if (releases) --item.leased;
        item.noted = item.leased;
        item.state = item.leased >= options_.deliveries_max ? State::dead
                     : delay > 0ms                          ? State::delayed
                                                            : State::ready;
        item.due = now_.now + delay;
        item.due_is_known = true;
        return true;
    }
    bool revive(std::uint64_t draw) {
        std::vector<std::uint64_t> ids;
        for (const auto& [id, item] : items_) {
            if (item.state == State::dead) ids.push_back(id);
        }
        if (ids.empty()) return work_->revive(1u << 20, now_) == belay::QueueErrc::unknown_number;
        Item& item = items_.at(ids[draw % ids.size()]);
        if (work_->revive(ids[draw % ids.size()], now_)) return false;
        item.state = State::ready;
        item.leased = item.noted = 0;
        item.was_revived = item.revival_is_known = true;
        return true;
    }
    void free_key(std::uint64_t id) {
        for (Pushed& p : history_) p.is_freed = p.is_freed || p.id == id;
    }
    bool forget_key(std::uint64_t draw) {
        if (history_.empty()) return !work_->forget_key("none");
        const std::string key = history_[draw % history_.size()].key;
        for (Pushed& p : history_) p.is_freed = p.is_freed || p.key == key;
        return !work_->forget_key(key);
    }
    bool purge() {
        const std::error_code error = work_->purge_dead();
        for (auto i = items_.begin(); i != items_.end();) {
            if (i->second.state == State::dead) {
                free_key(i->first);
                gone_[i->first] = i->second;
                i = items_.erase(i);
            } else {
                ++i;
            }
        }
        return !error;
    }

    bool counts_match() {
        std::size_t by_state[4]{};
        bool known = true;
        for (const auto& [id, item] : items_) {
            ++by_state[static_cast<std::size_t>(item.state)];
            known = known && (item.due_is_known || item.state != State::delayed);
        }
        if (work_->dead() != by_state[3]) return wrong("a wrong count of the dead");
        if (work_->size() != items_.size() - by_state[3]) return wrong("a wrong size");
        if (work_->leased() != by_state[2]) return wrong("a wrong count of leases");
        if (known && work_->delayed() != by_state[1]) return wrong("a wrong count of delays");
        return true;
    }

    /// Checks an item that was found after a crash.
    void look_at(const belay::WorkItem& shown, std::uint64_t last,
                 std::map<std::uint64_t, Item>& found) {
        if (over_.contains(shown.id)) wrong("an item came back");
        const auto i = items_.find(shown.id);
        const auto g = gone_.find(shown.id);
        if ((i == items_.end() && g == gone_.end()) || shown.id > last) {
            wrong("an item from nowhere");
            return;
        }
        Item item = i != items_.end() ? i->second : g->second;
        if (!std::equal(shown.body.begin(), shown.body.end(), item.body.begin(), item.body.end())) {
            wrong("a wrong body after a crash");
        }
        if (shown.deliveries > options_.deliveries_max) wrong("counted too often");
        item.state = shown.state;
        item.leased = item.noted = shown.deliveries;
        item.due_is_known = shown.state != State::delayed;
        item.revival_is_known = !item.was_revived;
        if (!found.emplace(shown.id, item).second) wrong("an item is there twice");
    }
    bool keys_are_known() {
        std::size_t i = history_.size();
        const std::size_t first = i > options_.keys ? i - options_.keys : 0;
        while (i-- > first) {
            const bool is_latest =
                std::none_of(history_.begin() + static_cast<std::ptrdiff_t>(i) + 1, history_.end(),
                             [&](const Pushed& p) { return p.key == history_[i].key; });
            // That the key is free may not have been durable.
            if (history_[i].is_freed && is_latest && work_->forget_key(history_[i].key))
                return !disk_fails && wrong("forget_key");
            if (history_[i].is_freed) continue;
            const auto again = work_->push(history_[i].body, now_, {.key = history_[i].key});
            if (again.error() != belay::QueueErrc::duplicate) return wrong("a key is forgotten");
        }
        return true;
    }

    Medium& medium_;
    std::uint64_t seed_;
    belay::WorkOptions options_;
    std::optional<Work> work_;
    std::string message_;
    belay::Moment now_{belay::Instant{100s}, belay::WallTime{1'700'000'000s}};

    std::map<std::uint64_t, Item> items_;
    std::map<std::uint64_t, Item> gone_;  // removed, and not durably
    std::set<std::uint64_t> over_;        // items that must never return
    std::vector<Pushed> history_;         // pushed items with a key
    std::uint64_t durable_ = 0;           // the last entry that is known as durable
    std::uint64_t found_last_ = 0;        // the last entry at the last opening
    std::string open_error_;
};

/// A workload: calls drawn from a seed.
inline std::vector<std::pair<WorkCall, std::uint64_t>> make_work_script(std::uint64_t seed,
                                                                        std::size_t calls) {
    belay::Random bits{belay::Seed{seed}};
    std::vector<std::pair<WorkCall, std::uint64_t>> script;
    using Call = WorkCall;
    static constexpr std::pair<Call, int> weights[] = {
        {Call::push, 14},  {Call::commit, 4}, {Call::lease, 13},    {Call::ack, 9},
        {Call::nack, 4},   {Call::extend, 1}, {Call::tick, 5},      {Call::reopen, 1},
        {Call::revive, 1}, {Call::purge, 1},  {Call::forget_key, 2}};
    for (std::size_t i = 0; i < calls; ++i) {
        int draw = static_cast<int>(bits() % 55);
        for (const auto& [call, weight] : weights) {
            draw -= weight;
            if (draw >= 0) continue;
            script.emplace_back(call, bits() >> 8);
            break;
        }
    }
    return script;
}

}  // namespace belay_test
