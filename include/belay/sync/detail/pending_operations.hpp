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
    /// A session and an element of it.
    using Name = std::pair<std::string, std::string>;
    /// An operation, and the session that it is of.
    struct Expired {
        std::string session;
        Op operation;
    };

    /// Adds an operation, once.   Pre: there is no operation with this id and another hash.
    void keep(std::string_view session, const Op& op, std::uint64_t hash, WallTime now) {
        if (known_.find(op.id) != known_.end()) return;
        // Everything that may throw comes first, so that it is everywhere or nowhere.
        std::map<Id, Known> known{{op.id, {hash, now}}};
        Ages ages{{{now, op.id}, {std::string{session}, std::string{op.element()}}}};
        std::size_t& of_origin = origins_[op.stamp.origin];
        Session& in = entry(sessions_, session);
        entry(in.elements, std::string_view{op.element()}).push_back(op);
        ++in.count;
        ++of_origin;
        known_.merge(known);
        ages_.merge(ages);
    }
    /// Removes the operation with this id.   Returns: whether there was one.
    bool drop(std::string_view session, std::string_view element, const Id& id) {
        std::vector<Op>* const there = find({session, element});
        if (there == nullptr) return false;
        const auto same = position(*there, id);
        if (same == there->end()) return false;
        uncount(session, *same);
        there->erase(same);
        if (there->empty()) forget({session, element});
        return true;
    }
    /// Removes the operation that is pending for the longest time, if that is at least until
    /// `until`.
    [[nodiscard]] std::optional<Expired> take_expired(WallTime until) {
        if (ages_.empty() || ages_.begin()->first.first > until) return std::nullopt;
        const auto& [age, name] = *ages_.begin();
        const Id id = age.second;
        const Name at = name;
        std::vector<Op>* const there = find({at.first, at.second});
        Expired expired{at.first, *position(*there, id)};
        drop(at.first, at.second, id);
        return expired;
    }
    /// Returns the hash of the operation with this id, in any session.
    [[nodiscard]] std::optional<std::uint64_t> hash_of(const Id& id) const {
        if (known_.empty()) return std::nullopt;
        const auto at = known_.find(id);
        return at != known_.end() ? std::optional{at->second.hash} : std::nullopt;
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
        if (find(key) != nullptr) {
            due_.try_emplace({std::string{key.session}, std::string{key.id}}, false);
        }
    }
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
        for (const auto& [element, operations] : at->second.elements) {
            all.insert(all.end(), operations.begin(), operations.end());
        }
        return all;
    }
    [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }
    [[nodiscard]] std::size_t size_of(std::string_view session) const {
        const auto at = sessions_.find(session);
        return at != sessions_.end() ? at->second.count : 0;
    }
    [[nodiscard]] std::size_t size_of_origin(const Id& origin) const {
        const auto at = origins_.find(origin);
        return at != origins_.end() ? at->second : 0;
    }

private:
    template <class T>
    using Table = std::map<std::string, T, std::less<>>;
    struct Session {
        Table<std::vector<Op>> elements{};
        std::size_t count = 0;
    };
    struct Known {
        std::uint64_t hash;
        WallTime since;
    };
    using Ages = std::map<std::pair<WallTime, Id>, Name>;

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
        const auto at = of_session->second.elements.find(key.id);
        return at != of_session->second.elements.end() ? &at->second : nullptr;
    }
    void uncount(std::string_view session, const Op& op) {
        const auto known = known_.find(op.id);
        ages_.erase({known->second.since, op.id});
        known_.erase(known);
        --sessions_.find(session)->second.count;
        const auto of_origin = origins_.find(op.stamp.origin);
        if (--of_origin->second == 0) origins_.erase(of_origin);
    }
    void forget(const part::ElementKey& key) {
        if (!due_.empty()) due_.erase({std::string{key.session}, std::string{key.id}});
        const auto of_session = sessions_.find(key.session);
        auto& elements = of_session->second.elements;
        elements.erase(elements.find(key.id));
        if (elements.empty()) sessions_.erase(of_session);
    }

    Table<Session> sessions_;
    std::map<Id, Known> known_;
    Ages ages_;
    std::map<Id, std::size_t> origins_;
    Due due_;
};

}}}  // namespace belay::detail
