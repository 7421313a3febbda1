// SPDX-License-Identifier: MIT
/// \file belay/session/detail/sender_table.hpp
/// SenderTable: what a receiver knows of each sender, by its id.
#pragma once

#include <cstddef>  // std::size_t, std::ptrdiff_t
#include <utility>  // std::exchange
#include <vector>   // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A bounded, sorted table.   Thread safety: home thread of the receiver.
template <class Core>
class SenderTable {
public:
    struct Sender {
        Id id;
        Core core;
        bool begun = false;  ///< something of it is applied, and not committed
    };

    /// Null if there is none.   Complexity: O(log n).
    [[nodiscard]] Sender* find(const Id& id) {
        const std::size_t i = place_of(id);
        return i < senders_.size() && senders_[i].id == id ? &senders_[i] : nullptr;
    }
    /// Adds one if there is none, and forgets another that is idle if there are `most`: all that
    /// counts of it is in the ledger. Null if all of them are busy. Others may move in memory.
    [[nodiscard]] Sender* find_or_add(const Id& id, std::size_t most, const Core& fresh) {
        if (Sender* const s = find(id)) return s;
        if (senders_.size() >= most && !forget_idle()) return nullptr;
        const auto place = senders_.begin() + static_cast<std::ptrdiff_t>(place_of(id));
        return &*senders_.insert(place, Sender{id, fresh});
    }
    /// Notes that something of a sender awaits its commit.
    void begin(Sender& sender) {
        if (!std::exchange(sender.begun, true)) begun_.push_back(sender.id);
    }
    /// Everything that was begun is committed: calls `f(sender)` for each.
    template <class F>
    void committed(F&& f) {
        for (const Id& id : begun_) {
            Sender& sender = *find(id);
            sender.begun = false;
            f(sender);
        }
        begun_.clear();
    }
    void clear() noexcept {
        senders_.clear();
        begun_.clear();
    }

private:
    bool forget_idle() {
        for (auto i = senders_.begin(); i != senders_.end(); ++i) {
            if (i->begun || i->core.attached() != 0) continue;
            senders_.erase(i);
            return true;
        }
        return false;
    }
    [[nodiscard]] std::size_t place_of(const Id& id) const {
        return first_after(senders_, [&id](const Sender& s) { return s.id < id; });
    }

    std::vector<Sender> senders_;
    std::vector<Id> begun_;
};

}}}  // namespace belay::detail
