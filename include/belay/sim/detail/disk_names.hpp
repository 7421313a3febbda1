// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/disk_names.hpp
/// DiskNames: the names of a simulated disk, as programs see them and as a crash leaves them.
#pragma once

#include <algorithm>    // std::min, std::sort
#include <cstdint>      // std::uint64_t
#include <functional>   // std::less
#include <iterator>     // std::next
#include <map>          // std::map
#include <memory>       // std::shared_ptr
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange, std::pair
#include <vector>       // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/sim/detail/disk_inode.hpp>
#include <belay/sim/detail/recorder.hpp>
#include <belay/sim/detail/trace.hpp>
#include <belay/sim/digest.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// The state of a file or directory for a binding. A crash does not change it.
struct FileState {
    std::uint64_t number = 0;  // among the files, or among the directories, of the disk
    std::int64_t modified_ns = 0;
    std::uint32_t mode = 0;  // 0: nothing was set
};
/// A file, independent of its names.
struct DiskFile {
    DiskInode bytes;
    FileState state;
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
        file->state.number = ++files_;
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
        if (!has_directory(name)) directories_.try_emplace(name, Directory{{++made_, 0, 0}});
    }
    /// Pre: there is such a directory, and it is empty.
    void remove_directory(std::string_view path) {
        const std::string name{name_of(path)};
        Move move{name, {}, {}, {}};
        replace(name, move);
        moves_.push_back(std::move(move));
    }
    /// Moves a directory with its content, also in the place of an empty one.
    /// Pre: there is a directory `from`, and `to` is not in it.
    void move_directory(std::string_view from_path, std::string_view to_path) {
        Move move{std::string{name_of(from_path)}, std::string{name_of(to_path)}, {}, {}};
        if (has_directory(to_path)) replace(move.to, move);
        static_cast<void>(made(move.from));
        rename_within(move.from, move.to);
        moves_.push_back(std::move(move));
    }
    /// Returns the state of a file or directory; null if there is none.
    [[nodiscard]] FileState* state(std::string_view path) {
        if (const auto file = find(path)) return &file->state;
        return has_directory(path) ? &made(std::string{name_of(path)}).state : nullptr;
    }
    /// Returns the names in a directory: those of files and of directories.
    [[nodiscard]] std::set<std::string> names_in(std::string_view path) const {
        const std::string name{name_of(path)};
        const std::size_t begin = name.empty() ? 0 : name.size() + 1;
        std::set<std::string> names;
        const auto add = [&](const std::string& within) {
            if (!is_within(within, name)) return;
            names.insert(within.substr(begin, within.find('/', begin) - begin));
        };
        for (const auto& entry : now_) add(entry.first);
        for (const auto& entry : directories_) add(entry.first);
        return names;
    }

    /// Sets the key of `in_order`.
    void set_order(std::uint64_t key) noexcept { order_ = key; }
    /// Returns names in an order that is none for programs, as real file systems do.
    /// Source: Linux, ext4, whose directories are in the order of seeded hashes.
    [[nodiscard]] std::vector<std::string> in_order(std::vector<std::string> names) const {
        const auto place = [this](const std::string& name) { return mix(order_, hash_of(name)); };
        std::sort(names.begin(), names.end(),
                  [&](const auto& a, const auto& b) { return place(a) < place(b); });
        return names;
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
        for (auto& [name, made] : directories_) {
            made.durable = made.durable || directory_of(name) == directory;
        }
        for (const Move& m : std::exchange(moves_, {})) {
            if (directory_of(m.to.empty() ? m.from : m.to) != directory) {
                moves_.push_back(m);
            } else if (!m.replaced.empty()) {
                settle(m.replaced);
            }
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
        for (auto& [name, made] : directories_) {
            made.durable = made.durable || is_within(path, name);
        }
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
        moves_.clear();
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
        while (!moves_.empty()) {
            const Move move = std::move(moves_.back());
            moves_.pop_back();
            if (is_kept(bits)) {
                if (!move.replaced.empty()) settle(move.replaced);
                continue;
            }
            if (log)
                log(true, text_of(move) +
                              not_synced(directory_of(move.to.empty() ? move.from : move.to)));
            undo(move);
        }
        for (const Change& change : pending_) {
            if (is_kept(bits)) {
                apply(change, durable_);
            } else if (log) {
                log(true, text_of(change) + not_synced(directory_of(change.path)));
            }
        }
        pending_.clear();
        for (auto d = directories_.begin(); d != directories_.end();) {
            d->second.durable = d->second.durable || is_kept(bits);
            if (!d->second.durable && log) {
                log(true, "the directory " + d->first + " with its files" +
                              not_synced(directory_of(d->first)));
            }
            d = d->second.durable ? std::next(d) : lose(d);
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
    struct Directory {
        FileState state;
        bool durable = false;  // its name
    };
    using Directories = std::map<std::string, Directory, std::less<>>;
    // The move or removal of a directory, which is not durable yet. All other members have the
    // names of the directory as programs see it.
    struct Move {
        std::string from;
        std::string to;        // empty: removed
        std::string replaced;  // the name, which no path has, of the empty directory that is gone
        Directory directory;   // that one
    };
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
    static std::string text_of(const Move& move) {
        const std::string what =
            move.to.empty() ? "the removal of the directory " : "the rename of the directory ";
        return what + move.from + (move.to.empty() ? "" : " to " + move.to);
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
        if (directory.empty()) return !path.empty();
        return path.size() > directory.size() && path.starts_with(directory) &&
               path[directory.size()] == '/';
    }
    /// Gives `path` the name `to`, if it is `from` or within it.
    static void rename(std::string& path, const std::string& from, const std::string& to) {
        if (path == from || is_within(path, from)) path = to + path.substr(from.size());
    }
    template <class Map>
    static void rename_keys(Map& all, const std::string& from, const std::string& to) {
        Map others;
        while (!all.empty()) {
            auto node = all.extract(all.begin());
            rename(node.key(), from, to);
            others.insert(std::move(node));
        }
        all = std::move(others);
    }
    void rename_within(const std::string& from, const std::string& to) {
        rename_keys(now_, from, to);
        rename_keys(durable_, from, to);
        rename_keys(directories_, from, to);
        for (Change& c : pending_) {
            rename(c.path, from, to);
            rename(c.moved_from, from, to);
        }
        for (Move& m : moves_) {
            for (std::string* const name : {&m.from, &m.to, &m.replaced}) {
                if (*name != from) rename(*name, from, to);
            }
        }
    }
    /// Returns a directory. One that no process made was there from the start.
    Directory& made(const std::string& name) {
        const auto [at, is_new] =
            directories_.try_emplace(name, Directory{{made_ + 1, 0, 0}, true});
        made_ += is_new ? 1 : 0;
        return at->second;
    }
    /// Takes an empty directory away. Its durable content gets a name that no path has.
    void replace(const std::string& name, Move& move) {
        move.directory = made(name);
        move.replaced = directory_of(name) + "//" + std::to_string(++made_);
        directories_.erase(name);
        rename_within(name, move.replaced);
    }
    /// The removal of a directory is durable. So are all changes in it, since it was empty.
    void settle(const std::string& replaced) {
        std::erase_if(pending_, [&](const Change& c) {
            if (!is_within(c.path, replaced) && !is_within(c.moved_from, replaced)) return false;
            return apply(c, durable_), true;
        });
        std::erase_if(durable_,
                      [&](const auto& entry) { return is_within(entry.first, replaced); });
    }
    /// A crash has lost this move. A later directory of the same name shows that it has not.
    void undo(const Move& move) {
        if (!move.to.empty()) {
            if (has_directory(move.from)) return;
            rename_within(move.to, move.from);
        }
        if (move.replaced.empty()) return;
        const std::string& name = move.to.empty() ? move.from : move.to;
        if (directories_.count(name) != 0) return settle(move.replaced);
        rename_within(move.replaced, name);
        directories_.emplace(name, move.directory);
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
    Directories directories_;  // those that were made
    std::vector<Move> moves_;
    std::vector<Change> pending_;
    std::uint64_t made_ = 0;   // directories
    std::uint64_t files_ = 0;  // how many were made
    std::uint64_t order_ = 0;
};

}}}  // namespace belay::sim::detail
