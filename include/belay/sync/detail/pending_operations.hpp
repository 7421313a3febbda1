// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/pending_operations.hpp
/// PendingOperations: the operations that wait for a decision, by session and element.
#pragma once

#include <algorithm>    // std::find_if, std::sort
#include <cstdint>      // std::uint64_t
#include <map>          // std::map
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::pair
#include <vector>       // std::vector

#include <belay/sync/store_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <OperationLike Op>
class PendingOperations {
public:
    /// Adds an operation, once.   Pre: there is no operation with this id and another hash.
    void keep(std::string_view session, const Op& op, std::uint64_t hash) {
        if (hashes_.find(op.id) != hashes_.end()) return;
        std::map<Id, std::uint64_t> made{{op.id, hash}};
        entry(entry(sessions_, session), std::string_view{op.element()}).push_back(op);
        hashes_.merge(made);  // cannot fail, so it is in both or in neither
    }
    /// Removes the operation with this id.   Returns: whether there was one.
    bool drop(std::string_view session, std::string_view element, const Id& id) {
        std::vector<Op>* const there = find({session, element});
        if (there == nullptr) return false;
        const auto same = position(*there, id);
        if (same == there->end()) return false;
        there->erase(same);
        hashes_.erase(id);
        if (there->empty()) forget({session, element});
        return true;
    }
    /// Returns the hash of the operation with this id, in any session.
    [[nodiscard]] std::optional<std::uint64_t> hash_of(const Id& id) const {
        if (hashes_.empty()) return std::nullopt;
        const auto at = hashes_.find(id);
        return at != hashes_.end() ? std::optional{at->second} : std::nullopt;
    }
    /// Returns all operations of an element, in the order of their stamps.
    [[nodiscard]] std::vector<Op> of(const part::ElementKey& key) {
        const std::vector<Op>* const there = find(key);
        std::vector<Op> all = there != nullptr ? *there : std::vector<Op>{};
        std::sort(all.begin(), all.end(),
                  [](const Op& a, const Op& b) { return a.stamp < b.stamp; });
        return all;
    }

    /// The element has changed: its operations, if any, must be processed again.
    void changed(const part::ElementKey& key) {
        if (!hashes_.empty() && find(key) != nullptr) {
            due_.try_emplace({std::string{key.session}, std::string{key.id}}, false);
        }
    }
    using Name = std::pair<std::string, std::string>;
    /// The elements whose operations must be processed again, and whether processing them threw.
    using Due = std::map<Name, bool>;
    [[nodiscard]] const Due& due() const noexcept { return due_; }
    void judging(const Name& name) { due_[name] = true; }
    void processed(const Name& name, bool again) {
        if (again) {
            due_[name] = false;
        } else {
            due_.erase(name);
        }
    }
    [[nodiscard]] std::vector<Op> all_of(std::string_view session) const {
        std::vector<Op> all;
        const auto at = sessions_.find(session);
        if (at == sessions_.end()) return all;
        for (const auto& [element, operations] : at->second) {
            all.insert(all.end(), operations.begin(), operations.end());
        }
        return all;
    }
    [[nodiscard]] std::size_t size() const noexcept { return hashes_.size(); }

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
    [[nodiscard]] std::vector<Op>* find(const part::ElementKey& key) {
        const auto of_session = sessions_.find(key.session);
        if (of_session == sessions_.end()) return nullptr;
        const auto at = of_session->second.find(key.id);
        return at != of_session->second.end() ? &at->second : nullptr;
    }
    void forget(const part::ElementKey& key) {
        if (!due_.empty()) due_.erase({std::string{key.session}, std::string{key.id}});
        const auto of_session = sessions_.find(key.session);
        of_session->second.erase(of_session->second.find(key.id));
        if (of_session->second.empty()) sessions_.erase(of_session);
    }

    Table<Table<std::vector<Op>>> sessions_;
    std::map<Id, std::uint64_t> hashes_;
    Due due_;
};

}}}  // namespace belay::detail
