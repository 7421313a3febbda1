// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/disk_names.hpp
/// DiskNames: the names of a simulated disk, as programs see them and as a crash leaves them.
#pragma once

#include <algorithm>    // std::min
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <iterator>     // std::next
#include <map>          // std::map
#include <memory>       // std::shared_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/sim/detail/disk_inode.hpp>
#include <belay/sim/detail/recorder.hpp>
#include <belay/sim/digest.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A file, independent of its names.
struct DiskFile {
    DiskInode bytes;
    std::uint64_t number = 0;
    std::int64_t modified_ns = 0;  // as a binding has set it
    bool locked = false;
};

/// Called in a recorded world: whether something is lost, and the text.
using DiskLog = belay::detail::Function<void(bool, const std::string&)>;

/// The names of files. A change takes effect at once, and is durable after a sync of its directory.
///
/// Thread safety: distinct objects safe.
class DiskNames {
public:
    // Names are seen from the root, without a slash in front.
    using Names = std::map<std::string, std::shared_ptr<DiskFile>, std::less<>>;

    /// Returns the name of a file or directory for a path, which is absolute or seen from the root.
    /// The root is the empty name.
    [[nodiscard]] static std::string_view name_of(std::string_view path) noexcept {
        path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
        path = path.substr(0, path.find_last_not_of('/') + 1);
        return path == "." ? std::string_view{} : path;
    }

    /// Returns a new file without a name.
    [[nodiscard]] std::shared_ptr<DiskFile> make() {
        auto file = std::make_shared<DiskFile>();
        file->number = ++files_;
        return file;
    }
    /// Returns null if there is no file of that name.
    [[nodiscard]] std::shared_ptr<DiskFile> find(std::string_view path) const {
        const auto i = now_.find(name_of(path));
        return i == now_.end() ? nullptr : i->second;
    }
    /// Returns all names, as programs see them.
    [[nodiscard]] const Names& all() const noexcept { return now_; }

    void set(std::string_view path, std::shared_ptr<DiskFile> file) {
        change({std::string{name_of(path)}, std::move(file), {}});
    }
    void remove(std::string_view path) { change({std::string{name_of(path)}, nullptr, {}}); }
    /// Pre: there is a file of that name.
    void move(std::string_view from, std::string_view to) {
        change({std::string{name_of(to)}, find(from), std::string{name_of(from)}});
    }
    void make_directory(std::string_view path) {
        const std::string name{name_of(path)};
        // A directory that contains files has existed before.
        const auto within = now_.lower_bound(name + '/');
        if (within == now_.end() || !is_within(within->first, name)) {
            directories_.try_emplace(name, false);
        }
    }

    /// Returns whether a directory of this name was made, or has files in it.
    [[nodiscard]] bool has_directory(std::string_view path) const {
        const std::string name{name_of(path)};
        const auto within = now_.lower_bound(name + '/');
        return name.empty() || directories_.count(name) != 0 ||
               (within != now_.end() && is_within(within->first, name));
    }

    /// Adds what programs see. Also see sim::Disk::digest.
    void digest(Digest& digest) const {
        digest(now_.size());
        for (const auto& [name, file] : now_) {
            digest(name);
            digest(file->bytes.bytes());
        }
        digest(directories_.size());
        for (const auto& entry : directories_) digest(entry.first);
    }

    /// Makes the names in a directory durable.
    void sync(std::string_view path) {
        const std::string_view directory = name_of(path);
        for (auto& [name, durable] : directories_) {
            durable = durable || directory_of(name) == directory;
        }
        std::vector<Change> others;
        for (Change& change : pending_) {
            if (directory_of(change.path) == directory) {
                apply(change, durable_);
            } else {
                others.push_back(std::move(change));
            }
        }
        pending_ = std::move(others);
    }
    /// Puts a file there, durably. This includes the directories above it that were made, and
    /// overrides earlier changes of its name.
    void put(std::string_view at, std::shared_ptr<DiskFile> file) {
        const std::string path{name_of(at)};
        for (auto& [name, durable] : directories_) durable = durable || is_within(path, name);
        for (Change& change : pending_) {
            if (change.moved_from == path) change.moved_from.clear();
            // If a file was moved here, only its removal from the old name remains.
            if (change.path == path) change = {change.moved_from, nullptr, {}};
        }
        now_[path] = durable_[path] = std::move(file);
    }
    void clear() noexcept {
        now_.clear();
        durable_.clear();
        directories_.clear();
        pending_.clear();
    }

    void unlock_all() noexcept {
        for (const Names* const names : {&now_, &durable_}) {
            for (const auto& [name, file] : *names) file->locked = false;
        }
    }
    /// Decides which names are left after a crash, and what is left of the files. Notes what is
    /// lost, and why.
    template <class Bits>
    void crash(Bits& bits, DiskLog& log) {
        for (const Change& change : pending_) {
            if (is_kept(bits)) {
                apply(change, durable_);
            } else if (log) {
                log(true, text_of(change) + not_synced(directory_of(change.path)));
            }
        }
        pending_.clear();
        for (auto d = directories_.begin(); d != directories_.end();) {
            d->second = d->second || is_kept(bits);
            if (!d->second && log) {
                log(true, "the directory " + d->first + " with its files" +
                              not_synced(directory_of(d->first)));
            }
            d = d->second ? std::next(d) : lose(d);
        }
        for (const auto& [name, file] : durable_) {
            const Bytes before = log ? file->bytes.bytes() : Bytes{};
            file->bytes.crash(bits);
            if (!log || before == file->bytes.bytes()) continue;
            log(true, lost_bytes(before, file->bytes.bytes()) + " of " + name + not_synced(name));
        }
        now_ = durable_;
    }
    /// Returns the name of a file, as programs see it.   Complexity: O(n).
    [[nodiscard]] std::string name_of(const DiskFile& file) const {
        for (const auto& [name, found] : now_) {
            if (found.get() == &file) return name;
        }
        return "a file without a name";
    }

private:
    using Directories = std::map<std::string, bool>;
    struct Change {
        std::string path;
        std::shared_ptr<DiskFile> file;  // null: removed
        std::string moved_from;          // the name that is removed in the same step, if any
    };

    static std::string text_of(const Change& change) {
        if (!change.moved_from.empty()) {
            return "the rename of " + change.moved_from + " to " + change.path;
        }
        return (change.file == nullptr ? "the removal of " : "the name ") + change.path;
    }
    static std::string lost_bytes(const Bytes& before, const Bytes& after) {
        std::size_t lost = before.size();
        for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
            lost -= before[i] == after[i] ? 1U : 0U;
        }
        if (lost == 0) return "the new size";
        return std::to_string(lost) + " of " + std::to_string(before.size()) + " bytes";
    }
    /// Returns the reason of a loss: the sync was not called, has failed, or had no effect.
    static std::string not_synced(const std::string& path) {
        return ", because no sync of " + (path.empty() ? "/" : path) + " took effect since";
    }
    static std::string directory_of(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        return slash == std::string::npos ? std::string{} : path.substr(0, slash);
    }
    static bool is_within(const std::string& path, const std::string& directory) noexcept {
        return path.size() > directory.size() && path.starts_with(directory) &&
               path[directory.size()] == '/';
    }
    static void apply(const Change& change, Names& names) {
        if (!change.moved_from.empty()) names.erase(change.moved_from);
        if (change.file == nullptr) {
            names.erase(change.path);
        } else {
            names[change.path] = change.file;
        }
    }
    void change(Change change) {
        apply(change, now_);
        pending_.push_back(std::move(change));
    }
    /// Removes what is durable in a directory, and the directory.   Returns: the next one.
    Directories::iterator lose(Directories::iterator directory) {
        const auto is_in_it = [&](const auto& entry) {
            return is_within(entry.first, directory->first);
        };
        std::erase_if(durable_, is_in_it);
        std::erase_if(directories_, is_in_it);
        return directories_.erase(directory);
    }

    Names now_;
    Names durable_;
    Directories directories_;  // directories that were made, and whether their names are durable
    std::vector<Change> pending_;
    std::uint64_t files_ = 0;  // how many were made
};

}}}  // namespace belay::sim::detail
