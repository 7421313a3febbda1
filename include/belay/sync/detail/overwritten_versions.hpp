// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/overwritten_versions.hpp
/// OverwrittenVersions: the versions that the last operations replaced unseen.
#pragma once

#include <algorithm>  // std::min
#include <cstddef>    // std::size_t
#include <map>        // std::map
#include <optional>   // std::optional
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/journal/id.hpp>
#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The versions of at most `most` operations, by their ids. A new one replaces the oldest.
template <class Value>
class OverwrittenVersions {
    using Versions = std::map<Id, part::ReplacedVersion<Value>>;

public:
    /// A version that is not added yet.
    using Prepared = typename Versions::node_type;

    explicit OverwrittenVersions(std::size_t most) noexcept : most_{most} {}

    /// Copies a version, so that add() cannot fail.   Throws: std::bad_alloc, and what a copy of
    ///                                                        the value throws.
    [[nodiscard]] Prepared prepare(const Id& operation, const Stamp& stamp,
                                   const std::optional<Value>& value) {
        if (most_ == 0) return {};
        if (order_.size() == order_.capacity() && order_.size() < most_) {
            order_.reserve(std::min(2 * order_.size() + 16, most_));
        }
        Versions one;
        one.emplace(operation, part::ReplacedVersion<Value>{stamp, value});
        return one.extract(one.begin());
    }
    /// Adds what prepare() has made last.
    void add(Prepared&& prepared) noexcept {
        if (!prepared) return;
        const Id id = prepared.key();
        auto added = versions_.insert(std::move(prepared));
        if (!added.inserted) {
            // The operation had been forgotten, and was applied a second time.
            added.position->second = std::move(added.node.mapped());
            return;
        }
        if (order_.size() < most_) {
            order_.push_back(id);
            return;
        }
        versions_.erase(order_[oldest_]);
        order_[oldest_] = id;
        oldest_ = oldest_ + 1 == most_ ? 0 : oldest_ + 1;
    }
    [[nodiscard]] std::optional<part::ReplacedVersion<Value>> find(const Id& operation) const {
        const auto at = versions_.find(operation);
        return at != versions_.end() ? std::optional{at->second} : std::nullopt;
    }

private:
    std::size_t most_;
    std::size_t oldest_ = 0;
    std::vector<Id> order_{};
    Versions versions_{};
};

}}}  // namespace belay::detail
