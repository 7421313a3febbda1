// SPDX-License-Identifier: MIT
/// \file belay/sim/history.hpp
/// sim::History: the operations of a test with their outcomes and effects, and checkers over them.
#pragma once

#include <algorithm>    // std::max
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::pair
#include <vector>       // std::vector

#include <belay/sim/clock.hpp>
#include <belay/sim/detail/diagram.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Records the operations of a test: when each began, how it ended, and when it took effect.
///
/// An operation has a key, such as the name of a client, and a number. An operation without an
/// outcome is *unknown*: it may have taken effect or not, and may still do so. This is so after a
/// timeout or the death of a process. The checkers below search a history. They return a text,
/// which is empty if the history is correct, so that World::always and World::require take them.
///
/// Thread safety: the world's thread.
/// Source:        Jepsen's histories, with the outcomes ok, fail and info.
class History {
public:
    /// How an operation ended.
    enum class Outcome : std::uint8_t {
        unknown,    ///< it may have taken effect
        succeeded,  ///< the client was notified that it took effect
        failed      ///< it did not take effect, and never will
    };
    /// The key and the number of an operation.
    using Id = std::pair<std::string, std::uint64_t>;
    /// The record of an operation.
    struct Operation {
        Instant invoked{};                   ///< when it began
        Instant ended = never;               ///< `never`: unknown
        std::uint64_t order = 0;             ///< in the order of invocation
        std::uint64_t effects = 0;           ///< how often it took effect
        Outcome outcome = Outcome::unknown;  ///< how it ended
        bool contradictory = false;          ///< succeeded and failed
        bool reported = false;               ///< a person was notified that it failed for ever
    };

    /// `clock` is that of the world.
    explicit History(Clock clock) noexcept : clock_{clock} {}

    // ---- operations ----------------------------------------------------------------------------

    /// An operation begins. Another attempt of the same operation changes nothing.
    void invoke(std::string_view key, std::uint64_t number) {
        const auto [at, is_new] = operations_.try_emplace(
            Id{key, number}, Operation{.invoked = clock_.now(), .order = operations_.size()});
        if (!is_new) return;
        if (const auto early = uninvoked_.extract(at->first)) at->second.effects = early.mapped();
        judge(at->first, at->second);
    }
    /// The client was notified that an operation took effect.   Pre: it was invoked.
    void succeed(std::string_view key, std::uint64_t number) {
        end(key, number, Outcome::succeeded);
    }
    /// The client was notified that an operation did not take effect, and never will.
    /// Pre: it was invoked.
    void fail(std::string_view key, std::uint64_t number) { end(key, number, Outcome::failed); }
    /// A person was notified that an operation failed for ever.   Pre: it was invoked.
    void report(std::string_view key, std::uint64_t number) {
        BELAY_PRECONDITION(operations_.contains(Id{key, number}),
                           "History::report: the operation must have been invoked");
        operations_[Id{key, number}].reported = true;
    }
    /// An operation took effect, durably. A server that may lose effects with its disk calls this
    /// at the end of the test, for the effects that are there, in their order.
    void effect(std::string_view key, std::uint64_t number) {
        const Id& id = effects_.emplace_back(key, number);
        const auto found = operations_.find(id);
        if (found == operations_.end()) {
            ++uninvoked_[id];
        } else {
            ++found->second.effects;
            judge(id, found->second);
        }
    }

    // ---- connections ---------------------------------------------------------------------------

    /// A client dials.
    void dial(std::string_view name) { dials_[std::string{name}].push_back(clock_.now()); }
    /// A connection of this name opens.
    void open(std::string_view name) {
        Connections& c = connections_[std::string{name}];
        c.most = std::max(c.most, ++c.live);
    }
    /// A connection of this name is closed.   Pre: it is open.
    void close(std::string_view name) {
        Connections& c = connections_[std::string{name}];
        BELAY_PRECONDITION(c.live > 0, "History::close: a connection must be open");
        --c.live;
    }

    // ---- observers -----------------------------------------------------------------------------

    /// The numbers of the connections of one name.
    struct Connections {
        std::uint64_t live = 0;  ///< how many are open now
        std::uint64_t most = 0;  ///< the largest number at one time
    };
    /// Returns the time of the world.
    [[nodiscard]] Instant now() const noexcept { return clock_.now(); }
    /// Returns all operations that were invoked.
    [[nodiscard]] const std::map<Id, Operation>& operations() const noexcept { return operations_; }
    /// Returns the operations that took effect, in that order.
    [[nodiscard]] const std::vector<Id>& effects() const noexcept { return effects_; }
    /// Returns when each client dialled, by its name.
    [[nodiscard]] const std::map<std::string, std::vector<Instant>>& dials() const noexcept {
        return dials_;
    }
    /// Returns the numbers of connections, by their names.
    [[nodiscard]] const std::map<std::string, Connections>& connections() const noexcept {
        return connections_;
    }
    /// Returns the operations that took effect without being invoked, and how often.
    [[nodiscard]] const std::map<Id, std::uint64_t>& uninvoked() const noexcept {
        return uninvoked_;
    }
    /// Returns the operations that took effect twice or although they failed, or that succeeded and
    /// failed. So at_most_once need not read the whole history after every event.
    [[nodiscard]] const std::set<Id>& irregular() const noexcept { return irregular_; }
    /// Returns the operations that succeeded and have no effect.
    [[nodiscard]] const std::set<Id>& lost() const noexcept { return lost_; }
    /// Returns the number of operations with this outcome.
    [[nodiscard]] std::size_t count(Outcome outcome) const noexcept {
        std::size_t n = 0;
        for (const auto& [id, o] : operations_) n += o.outcome == outcome ? 1U : 0U;
        return n;
    }

private:
    void end(std::string_view key, std::uint64_t number, Outcome outcome) {
        BELAY_PRECONDITION(operations_.contains(Id{key, number}),
                           "History: an operation must be invoked before it ends");
        const Id id{key, number};
        Operation& o = operations_[id];
        if (o.outcome == Outcome::unknown) {
            o.outcome = outcome;
            o.ended = clock_.now();
        }
        o.contradictory = o.contradictory || o.outcome != outcome;
        judge(id, o);
    }
    void judge(const Id& id, const Operation& o) {
        const bool failed = o.outcome == Outcome::failed && o.effects != 0;
        set(irregular_, id, o.effects > 1 || o.contradictory || failed);
        set(lost_, id, o.outcome == Outcome::succeeded && o.effects == 0);
    }
    static void set(std::set<Id>& ids, const Id& id, bool is_in) {
        if (is_in) {
            ids.insert(id);
        } else {
            ids.erase(id);
        }
    }

    Clock clock_;
    std::map<Id, Operation> operations_;
    std::vector<Id> effects_;
    std::map<Id, std::uint64_t> uninvoked_;
    std::set<Id> irregular_;
    std::set<Id> lost_;
    std::map<std::string, std::vector<Instant>> dials_;
    std::map<std::string, Connections> connections_;
};

namespace detail {

[[nodiscard]] inline std::string text_of(const History::Id& id) {
    return id.first + ' ' + std::to_string(id.second);
}

}  // namespace detail

// ---- checkers of operations --------------------------------------------------------------------

/// Checks that no operation took effect twice, without being invoked, or although it failed. It
/// holds at all times.   Complexity: O(log n).
[[nodiscard]] inline std::string at_most_once(const History& h) {
    if (!h.uninvoked().empty()) {
        return detail::text_of(h.uninvoked().begin()->first) + " was never invoked";
    }
    if (h.irregular().empty()) return {};
    const History::Id& id = *h.irregular().begin();
    const History::Operation& o = h.operations().at(id);
    if (o.effects > 1) {
        return detail::text_of(id) + " took effect " + std::to_string(o.effects) + " times";
    }
    return detail::text_of(id) +
           (o.contradictory ? " succeeded and failed" : " failed, and took effect");
}
/// Checks that every operation that succeeded took effect. It holds at all times.
/// Complexity: O(1).
[[nodiscard]] inline std::string no_acknowledged_loss(const History& h) {
    if (h.lost().empty()) return {};
    return detail::text_of(*h.lost().begin()) + " was acknowledged, and is lost";
}
/// Checks at_most_once and no_acknowledged_loss.
[[nodiscard]] inline std::string exactly_once(const History& h) {
    std::string wrong = at_most_once(h);
    return wrong.empty() ? no_acknowledged_loss(h) : wrong;
}
/// Checks that the operations of each key took effect in the order in which they were invoked. Some
/// may be missing, and one may take effect twice: at_most_once checks that.
[[nodiscard]] inline std::string order_per_key(const History& h) {
    std::map<std::string, const History::Id*> last;
    for (const History::Id& id : h.effects()) {
        const auto found = h.operations().find(id);
        if (found == h.operations().end()) continue;
        const History::Id*& before = last[id.first];
        if (before != nullptr && h.operations().at(*before).order > found->second.order) {
            return detail::text_of(id) + " took effect after " + detail::text_of(*before) +
                   ", which was invoked later";
        }
        before = &id;
    }
    return {};
}
/// Checks that every operation has succeeded or was reported to a person, and none was both. Call
/// it at the end.
[[nodiscard]] inline std::string failures_reported(const History& h) {
    for (const auto& [id, o] : h.operations()) {
        const bool succeeded = o.outcome == History::Outcome::succeeded;
        if (!succeeded && !o.reported) return detail::text_of(id) + " failed, and was not reported";
        if (succeeded && o.reported) return detail::text_of(id) + " succeeded, and was reported";
    }
    return {};
}
/// Checks that no operation waited, or waits, for longer than `most`. Time before `since` does not
/// count: pass World::healed_at.
[[nodiscard]] inline std::string no_long_wait(const History& h, Instant since, Duration most) {
    for (const auto& [id, o] : h.operations()) {
        const Duration wait = elapsed(std::max(o.invoked, since), std::min(o.ended, h.now()));
        if (wait > most) {
            return detail::text_of(id) + " waited for " + detail::to_cpp(wait) + ", the limit is " +
                   detail::to_cpp(most);
        }
    }
    return {};
}

// ---- checkers of connections and copies --------------------------------------------------------

/// Checks that no name dialled more often than `most` times within any time `window`.
/// Complexity: O(n).
[[nodiscard]] inline std::string dial_rate(const History& h, std::size_t most, Duration window) {
    for (const auto& [name, times] : h.dials()) {
        for (std::size_t i = most; i < times.size(); ++i) {
            if (elapsed(times[i - most], times[i]) >= window) continue;
            return name + " dialled " + std::to_string(most + 1) + " times within " +
                   detail::to_cpp(window) + ", until " + detail::Diagram::seconds(times[i]);
        }
    }
    return {};
}
/// Checks that no name had two open connections at one time.
[[nodiscard]] inline std::string one_live_connection(const History& h) {
    for (const auto& [name, c] : h.connections()) {
        if (c.most > 1) return name + " had " + std::to_string(c.most) + " open connections";
    }
    return {};
}
/// Checks that all copies are equal: pairs of the name of a copy and its content.
[[nodiscard]] inline std::string converged(
    const std::vector<std::pair<std::string, std::string>>& copies) {
    for (const auto& [name, content] : copies) {
        const auto& [first, expected] = copies.front();
        if (content != expected) {
            return first + " has " + detail::to_cpp(expected) + ", and " + name + " has " +
                   detail::to_cpp(content);
        }
    }
    return {};
}

}}}  // namespace belay::sim
