// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/pending_operations.hpp
/// PendingOperations: what waits for a decision, by session and element.
#pragma once

#include <algorithm>    // std::find_if, std::sort
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::pair
#include <vector>       // std::vector

#include <belay/sync/store_like.hpp>

namespace belay::inline BELAY_ABI::detail {

template <OperationLike Op>
class PendingOperations {
public:
    /// Keeps it, instead of the one that had this id.
    void keep(std::string_view session, const Op& op) {
        std::vector<Op>& there = entry(entry(sessions_, session), std::string_view{op.element()});
        const auto same = position(there, op.id);
        if (same != there.end()) {
            *same = op;
            return;
        }
        there.push_back(op);
        ++count_;
    }
    /// Forgets the one with this id.   Answers whether there was one.
    bool drop(std::string_view session, std::string_view element, const Id& id) {
        std::vector<Op>* const there = find({session, element});
        if (there == nullptr) return false;
        const auto same = position(*there, id);
        if (same == there->end()) return false;
        there->erase(same);
        --count_;
        if (there->empty()) forget({session, element});
        return true;
    }
    /// All of an element, in the order of their stamps.
    [[nodiscard]] std::vector<Op> of(const ElementKey& key) {
        const std::vector<Op>* const there = find(key);
        std::vector<Op> all = there != nullptr ? *there : std::vector<Op>{};
        std::sort(all.begin(), all.end(),
                  [](const Op& a, const Op& b) { return a.stamp < b.stamp; });
        return all;
    }
    [[nodiscard]] bool holds(std::string_view session, const Op& op) {
        std::vector<Op>* const there = count_ != 0 ? find({session, op.element()}) : nullptr;
        return there != nullptr && position(*there, op.id) != there->end();
    }

    /// The element has changed: its operations are to be judged again, if there are any.
    void changed(const ElementKey& key) {
        if (count_ != 0 && find(key) != nullptr) {
            due_.insert({std::string{key.session}, std::string{key.id}});
        }
    }
    using Due = std::set<std::pair<std::string, std::string>>;
    [[nodiscard]] Due take_due() noexcept { return std::exchange(due_, {}); }
    [[nodiscard]] std::vector<Op> all_of(std::string_view session) const {
        std::vector<Op> all;
        const auto at = sessions_.find(session);
        if (at == sessions_.end()) return all;
        for (const auto& [element, operations] : at->second) {
            all.insert(all.end(), operations.begin(), operations.end());
        }
        return all;
    }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }

private:
    template <class T>
    using Table = std::map<std::string, T, std::less<>>;

    template <class T>
    [[nodiscard]] static T& entry(Table<T>& table, std::string_view name) {
        const auto at = table.find(name);
        return at != table.end() ? at->second : table[std::string{name}];
    }
    [[nodiscard]] static auto position(std::vector<Op>& in, const Id& id) {
        return std::find_if(in.begin(), in.end(), [&](const Op& op) { return op.id == id; });
    }
    [[nodiscard]] std::vector<Op>* find(const ElementKey& key) {
        const auto of_session = sessions_.find(key.session);
        if (of_session == sessions_.end()) return nullptr;
        const auto at = of_session->second.find(key.id);
        return at != of_session->second.end() ? &at->second : nullptr;
    }
    void forget(const ElementKey& key) {
        const auto of_session = sessions_.find(key.session);
        of_session->second.erase(of_session->second.find(key.id));
        if (of_session->second.empty()) sessions_.erase(of_session);
    }

    Table<Table<std::vector<Op>>> sessions_;
    Due due_;
    std::size_t count_ = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
