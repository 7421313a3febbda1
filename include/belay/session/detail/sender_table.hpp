// SPDX-License-Identifier: MIT
/// \file belay/session/detail/sender_table.hpp
/// SenderTable: a receiver's state of each sender, by its id.
#pragma once

#include <cstddef>  // std::size_t, std::ptrdiff_t
#include <vector>   // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/id.hpp>
#include <belay/session/detail/receiver_core.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A bounded, sorted table.   Thread safety: home thread of the receiver.
class SenderTable {
public:
    struct Sender {
        Id id;
        ReceiverCore core;
        bool begun = false;  ///< some of its operations are applied, and not committed
    };

    /// Returns null if there is none.   Complexity: O(log n).
    [[nodiscard]] Sender* find(const Id& id) {
        const std::size_t i = place_of(id);
        return i < senders_.size() && senders_[i].id == id ? &senders_[i] : nullptr;
    }
    /// Returns the sender, and adds it if there is none. If there are `most`, it first forgets one
    /// that is idle, because all its durable state is in the ledger. Returns null if all of them
    /// are busy. Other senders may move in memory.
    [[nodiscard]] Sender* find_or_add(const Id& id, std::size_t most, const ReceiverCore& fresh) {
        if (Sender* const s = find(id)) return s;
        if (senders_.size() >= most && !forget_idle()) return nullptr;
        const auto place = senders_.begin() + static_cast<std::ptrdiff_t>(place_of(id));
        return &*senders_.insert(place, Sender{id, fresh});
    }
    /// Records that a sender has operations that wait for their commit.   Throws: std::bad_alloc;
    /// then nothing is recorded.
    void begin(Sender& sender) {
        if (sender.begun) return;
        begun_.push_back(sender.id);
        sender.begun = true;
    }
    /// Returns whether operations of a sender wait for their commit.
    [[nodiscard]] bool has_begun() const noexcept { return !begun_.empty(); }
    /// All operations of the listed senders are committed: calls `f(sender)` for each. If `f`
    /// throws, the next call continues with that sender.
    template <class F>
    void committed(F&& f) {
        for (const Id& id : begun_) {
            // Those that an earlier call has reported may be forgotten since then.
            Sender* const sender = find(id);
            if (sender == nullptr || !sender->begun) continue;
            f(*sender);
            sender->begun = false;
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
