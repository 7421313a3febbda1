// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_reports.hpp
/// ReplicaReports: what a Replica reports of its versions that are not in the server's state.
#pragma once

#include <algorithm>     // std::any_of
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <map>           // std::map, std::multimap
#include <optional>      // std::nullopt, std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <tuple>         // std::tuple
#include <utility>       // std::move
#include <vector>        // std::erase_if, std::vector

#include <belay/sync/detail/replica_copy.hpp>
#include <belay/sync/detail/replica_edits.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reports the versions of a replica that others have replaced, after the local store has the
/// changes.
template <class Edits, class Store>
class ReplicaReports {
    using Copy = ReplicaCopy<Store>;
    using Change = typename Copy::Change;
    using Op = typename Edits::Op;

public:
    using Replaced = typename Edits::Replaced;
    using Unreadable = std::map<std::string, Change, std::less<>>;
    struct Context {
        const std::string& session;
        const Id& origin;
    };

    ReplicaReports(Edits& edits, Store& store, Unreadable& unreadable, Context context) noexcept
        : edits_{edits}, store_{store}, unreadable_{unreadable}, context_{context} {}

    /// Reports the versions that were replaced, and the loss of the server's store, in a process
    /// that ended before its report was read. Call it before and after the changes.
    template <class Report>
    [[nodiscard]] std::error_code report_unread(Replaced& replaced, Report& report) {
        auto& unread = replaced.unread();
        if (!unread.empty()) {
            std::set<Version> listed;
            for (const auto& one : report.replaced) listed.insert(version_of(one.mine));
            const std::error_code error = list(unread, listed, report);
            std::erase_if(unread,
                          [&](const Change& mine) { return listed.count(version_of(mine)) != 0; });
            if (error) return error;
        }
        replaced.take_unread_loss(report.lost);
        return {};
    }
    /// Reports the edits of this sync that others have replaced already.
    template <class Report>
    [[nodiscard]] std::error_code report_replaced(Report& report) {
        Copy copy{store_, context_.session};
        // The pull has noted those whose result was here before, and a report that was not read has
        // all.
        std::multimap<std::string, std::size_t, std::less<>> noted;
        for (std::size_t i = 0; i < report.replaced.size(); ++i) {
            noted.emplace(report.replaced[i].mine.id, i);
        }
        const auto is_noted = [&](const Op& operation) {
            const auto [from, to] = noted.equal_range(operation.element());
            return std::any_of(from, to, [&](const auto& one) {
                return is_version_of(report.replaced[one.second].mine, operation);
            });
        };
        for (const auto& [seq, edit] : edits_.all()) {
            const Op& operation = edit.operation;
            const OperationKind kind = operation.kind();
            if (edit.state != EditState::dropped || edit.hidden ||
                kind == OperationKind::interaction ||
                edits_.shown(edits_.last_of(operation.element())) != &edit) {
                continue;
            }
            const bool is_removal = kind == OperationKind::remove;
            const auto mine = [&, element = std::string{operation.element()}]() -> Change {
                return {element, operation.stamp,
                        is_removal ? std::nullopt : std::optional{operation.value()}};
            };
            const auto bad = unreadable_.find(operation.element());
            if (bad != unreadable_.end()) {
                // The local store has the version before both.
                if (is_removal || bad->second.stamp != operation.stamp) {
                    if (!is_noted(operation)) report.replaced.push_back({mine(), bad->second});
                    continue;
                }
                // A merged version would have another stamp, so this one is the edit.
                if (const std::error_code error = copy.put(mine())) return error;
                unreadable_.erase(bad);
                continue;
            }
            const part::ElementKey key{context_.session, operation.element()};
            const auto local = store_.find(key);
            if (!local) return local.error();
            if (is_removal && local->presence != part::Presence::live &&
                (local->stamp.origin == no_id || local->stamp < operation.stamp)) {
                // A copy, of this sync or of one before, has no removals, and the one here may be
                // an earlier one of another author. An edit that adds the element again may have
                // seen this one, and this replica reports that.
                if (const std::error_code error = copy.put(mine())) return error;
            }
            const bool is_live = local->presence == part::Presence::live;
            // An earlier version of this replica is no result of the edit. The result is
            // unreadable, or a copy, which has no removals, lacks it.
            const bool is_outdated = local->stamp < operation.stamp;
            if (local->stamp == operation.stamp || (is_removal && !is_live) ||
                is_noted(operation)) {
                continue;
            }
            Change now{std::string{operation.element()},
                       is_outdated && !is_live ? Stamp{} : local->stamp, std::nullopt};
            if (const auto error = read_value(store_, context_.session, now)) return error;
            // Another version of this replica may be one that another device has restored.
            if (local->stamp.origin == context_.origin && !is_outdated &&
                is_result_of(now, operation)) {
                continue;
            }
            report.replaced.push_back({mine(), std::move(now)});
        }
        return {};
    }

private:
    /// A server may give a lifted edit the stamp of a lost version, so a version is its contents,
    /// too. A removal has none.
    using Version = std::tuple<std::string, Stamp, std::optional<std::uint64_t>>;
    [[nodiscard]] static Version version_of(const Change& one) {
        std::optional<std::uint64_t> contents;
        if (one.value) contents = hash_of_value(*one.value, 0);
        return {one.id, one.stamp, contents};
    }
    /// Adds the unread versions that are not here any more to a report.
    template <class Report>
    [[nodiscard]] std::error_code list(const std::vector<Change>& unread, std::set<Version>& listed,
                                       Report& report) {
        for (const Change& mine : unread) {
            if (listed.count(version_of(mine)) != 0) continue;
            const part::ElementKey key{context_.session, mine.id};
            const auto local = store_.find(key);
            if (!local) return local.error();
            Change now{mine.id, local->stamp, std::nullopt};
            if (const auto error = read_value(store_, context_.session, now)) return error;
            // The process ended before the change was here, or another device has restored the
            // version. This sync may replace it.
            const bool is_same =
                mine.error ? now.stamp == mine.stamp : version_of(now) == version_of(mine);
            if (is_same) continue;
            report.replaced.push_back({mine, std::move(now)});
            listed.insert(version_of(mine));
        }
        return {};
    }
    /// Returns whether a version has the stamp of an operation or a later one, as the server lifts
    /// it, and the same contents.
    [[nodiscard]] static bool is_version_of(const Change& version, const Op& operation) {
        // The stamp alone is not enough; see Version.
        if (version.stamp < operation.stamp) return false;
        if (operation.kind() == OperationKind::remove) return version.is_removal();
        return version.value &&
               hash_of_value(*version.value, 0) == hash_of_value(operation.value(), 0);
    }
    /// Returns whether a server makes such a version of an operation: with its contents, or merged,
    /// with the next stamp.
    [[nodiscard]] static bool is_result_of(const Change& version, const Op& operation) {
        return is_version_of(version, operation) || version.stamp == next_stamp(operation.stamp);
    }

    Edits& edits_;
    Store& store_;
    Unreadable& unreadable_;  // the elements whose present values are on no page
    Context context_;
};

}}}  // namespace belay::detail
