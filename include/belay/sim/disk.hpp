// SPDX-License-Identifier: MIT
/// \file belay/sim/disk.hpp
/// sim::Disk: a disk in memory that loses, on demand, what a real one may lose.
#pragma once

#include <algorithm>  // std::copy_n, std::min
#include <iterator>   // std::next
#include <map>        // std::map
#include <memory>     // std::shared_ptr
#include <string>     // std::string
#include <utility>    // std::pair

#include <belay/core/random.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sim/detail/disk_inode.hpp>

namespace belay::inline BELAY_ABI::sim {

/// The disk of one simulated host. It outlives the processes that use it.
///
/// What was written is visible at once, and survives `kill()`, the death of the process. It
/// survives `crash()`, the loss of power, only if its file was synced; of the rest each 512-byte
/// sector is kept, lost, torn or noise, and each name that was made, moved or removed since its
/// directory was synced is so or not, all as the given bits want. Bytes that a write did not change
/// stay what they were. A directory that is lost takes with it all that is in it, synced or not;
/// one that nobody made was there from the start.
///
/// Faults are planned by the number of the operation; operations are what changes the disk or makes
/// it durable: open to replace, lock, write, sync, preallocate, rename, remove, create_directory
/// and sync_directory.
///
/// Models:        FileSystemLike.
/// Thread safety: distinct objects safe.
class Disk {
    struct Inode {
        detail::DiskInode file;
        bool locked = false;
    };
    using Names = std::map<std::string, std::shared_ptr<Inode>>;
    using Directories = std::map<std::string, bool>;
    struct NameChange {
        std::string path;
        std::shared_ptr<Inode> inode;  // null: removed
        std::string moved_from;        // the name that vanishes in the same step, if any
    };

public:
    class File;
    class Lock;
    /// Everything on a disk, by path.
    using Image = std::vector<std::pair<std::string, Bytes>>;

    Disk() = default;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // ---- the file system ------------------------------------------------------------------------

    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept;
    [[nodiscard]] Result<Lock> lock(const std::string& path) noexcept;

    [[nodiscard]] std::error_code rename(const std::string& from, const std::string& to) noexcept {
        const auto i = names_.find(from);
        if (i == names_.end()) return std::make_error_code(std::errc::no_such_file_or_directory);
        return change_names({to, i->second, from});
    }
    [[nodiscard]] std::error_code remove(const std::string& path) noexcept {
        if (!names_.contains(path)) {
            return std::make_error_code(std::errc::no_such_file_or_directory);
        }
        return change_names({path, nullptr, {}});
    }
    [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const {
        const std::string prefix = path + '/';
        std::vector<std::string> names;
        for (const auto& [name, inode] : names_) {
            if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
        }
        return names;
    }
    /// Files need no directory that was made; one that was can be lost, until its parent is synced.
    [[nodiscard]] std::error_code create_directory(const std::string& path) noexcept {
        const Begun begun = begin_operation();
        if (begun.error && !begun.takes_effect) return begun.error;
        const std::string name = path.substr(0, path.find_last_not_of('/') + 1);
        // One that has files was there before.
        const auto within = names_.lower_bound(name + '/');
        if (within == names_.end() || !is_within(within->first, name)) {
            directories_.try_emplace(name, false);
        }
        return begun.error;
    }
    [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
        if (const Begun begun = begin_operation(); begun.error) return begun.error;
        for (auto& [name, durable] : directories_) {
            durable = durable || directory_of(name) == path;
        }
        std::vector<NameChange> others;
        for (NameChange& change : pending_) {
            if (directory_of(change.path) == path) {
                apply(change, durable_names_);
            } else {
                others.push_back(std::move(change));
            }
        }
        pending_ = std::move(others);
        return {};
    }

    // ---- the end of processes -------------------------------------------------------------------

    /// The processes die: locks are released, open files answer errors; nothing written is lost.
    void kill() noexcept {
        ++generation_;
        halted_ = false;
        fail_at_ = halt_at_ = 0;
        for (const auto& [name, inode] : names_) inode->locked = false;
    }

    /// The power fails, and comes back: the processes die, and what was not synced is lost in part.
    template <BitSource Bits>
    void crash(Bits&& bits) {
        kill();
        for (const NameChange& change : pending_) {
            if ((bits() & 1) != 0) apply(change, durable_names_);
        }
        pending_.clear();
        for (auto d = directories_.begin(); d != directories_.end();) {
            d->second = d->second || (bits() & 1) != 0;
            d = d->second ? std::next(d) : lose(d);
        }
        for (const auto& [name, inode] : durable_names_) inode->file.crash(bits);
        names_ = durable_names_;
    }

    // ---- faults ---------------------------------------------------------------------------------

    /// The number of operations so far.
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }

    /// Operation `number` fails with `error`. A failed write leaves half of its bytes in the file.
    /// A failed sync forgets, as real systems do, that the file was dirty: a later one succeeds,
    /// and makes nothing of it durable.
    void fail_at(std::uint64_t number, std::error_code error) noexcept {
        fail_at_ = number;
        fail_with_ = error;
    }
    /// Power fails during operation `number`: it takes effect without being durable, it and all
    /// later ones answer errors. Follow with `crash()` or `kill()`.
    void halt_at(std::uint64_t number) noexcept { halt_at_ = number; }
    /// No more than `bytes` fit; what exceeds them answers ENOSPC.
    void limit_bytes(std::uint64_t bytes) noexcept { bytes_max_ = bytes; }

    // ---- from outside ---------------------------------------------------------------------------

    /// The bytes of a file as programs see them; none if it does not exist.
    [[nodiscard]] Bytes contents(const std::string& path) const {
        const auto i = names_.find(path);
        return i == names_.end() ? Bytes{} : i->second->file.bytes();
    }
    /// Puts a file on the disk, durably: with the directories above it that were made, and whatever
    /// was done to its name before.
    void put(const std::string& path, Bytes bytes) {
        for (auto& [name, durable] : directories_) durable = durable || is_within(path, name);
        for (NameChange& change : pending_) {
            if (change.moved_from == path) change.moved_from.clear();
            // Of a file that was moved here is left that it is gone from where it was.
            if (change.path == path) change = {change.moved_from, nullptr, {}};
        }
        auto inode = std::make_shared<Inode>();
        inode->file = detail::DiskInode{std::move(bytes)};
        names_[path] = durable_names_[path] = std::move(inode);
    }
    /// A copy of everything, for `restore`.
    [[nodiscard]] Image image() const {
        Image image;
        for (const auto& [name, inode] : names_) image.emplace_back(name, inode->file.bytes());
        return image;
    }
    /// Replaces everything, durably, as a backup that is played back; kills the processes. An empty
    /// image is a new disk.
    void restore(const Image& image) {
        kill();
        names_.clear();
        durable_names_.clear();
        directories_.clear();
        pending_.clear();
        for (const auto& [name, bytes] : image) put(name, bytes);
    }
    /// The bytes that all files take.
    [[nodiscard]] std::uint64_t used_bytes() const noexcept {
        std::uint64_t sum = 0;
        for (const auto& [name, inode] : names_) sum += inode->file.bytes().size();
        return sum;
    }

private:
    struct Begun {
        std::error_code error;
        bool takes_effect = false;  // although it answers an error: the power fails during it
    };

    static std::string directory_of(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos) return ".";
        return path.substr(0, slash == 0 ? 1 : slash);
    }
    static bool is_within(const std::string& path, const std::string& directory) noexcept {
        return path.size() > directory.size() && path.starts_with(directory) &&
               path[directory.size()] == '/';
    }
    /// Forgets what is durable in a directory, and the directory.   Returns: the next one.
    Directories::iterator lose(Directories::iterator directory) {
        const auto is_in_it = [&](const auto& entry) {
            return is_within(entry.first, directory->first);
        };
        std::erase_if(durable_names_, is_in_it);
        std::erase_if(directories_, is_in_it);
        return directories_.erase(directory);
    }
    static std::error_code io_error() noexcept { return std::make_error_code(std::errc::io_error); }

    Begun begin_operation() noexcept {
        if (halted_) return {io_error()};
        ++operations_;
        if (operations_ == halt_at_) {
            halted_ = true;
            return {io_error(), true};
        }
        if (operations_ == fail_at_) return {fail_with_};
        return {};
    }

    static void apply(const NameChange& change, Names& names) {
        if (!change.moved_from.empty()) names.erase(change.moved_from);
        if (change.inode == nullptr) {
            names.erase(change.path);
        } else {
            names[change.path] = change.inode;
        }
    }
    std::error_code change_names(NameChange change) noexcept {
        const Begun begun = begin_operation();
        if (begun.error && !begun.takes_effect) return begun.error;
        apply(change, names_);
        pending_.push_back(std::move(change));
        return begun.error;
    }

    bool fits(const Inode& inode, std::size_t bytes) const noexcept {
        const std::size_t have = inode.file.bytes().size();
        return bytes <= have || bytes_max_ == no_bytes_limit ||
               used_bytes() + (bytes - have) <= bytes_max_;
    }
    std::error_code write(Inode& inode, std::uint64_t offset, BytesView from) noexcept {
        const Begun begun = begin_operation();
        if (halted_ && !begun.takes_effect) return begun.error;
        const auto begin = static_cast<std::size_t>(offset);
        const bool half = begun.error && !begun.takes_effect;
        const std::size_t count = half ? from.size() / 2 : from.size();
        if (!fits(inode, begin + count)) return std::make_error_code(std::errc::no_space_on_device);
        inode.file.write(begin, from.first(count));
        return begun.error;
    }
    std::error_code sync(Inode& inode) noexcept {
        const Begun begun = begin_operation();
        if (halted_) return begun.error;
        // After an error the system has marked the pages clean all the same, and writes them no
        // more.
        begun.error ? inode.file.forget_dirty() : inode.file.sync();
        return begun.error;
    }
    std::error_code preallocate(Inode& inode, std::uint64_t bytes) noexcept {
        const Begun begun = begin_operation();
        if (begun.error && !begun.takes_effect) return begun.error;
        const auto wanted = static_cast<std::size_t>(bytes);
        if (!fits(inode, wanted)) return std::make_error_code(std::errc::no_space_on_device);
        inode.file.grow(wanted);
        return begun.error;
    }

    static constexpr std::uint64_t no_bytes_limit = ~std::uint64_t{0};

    Names names_;
    Names durable_names_;
    Directories directories_;  // that were made, and whether their names are durable
    std::vector<NameChange> pending_;
    std::uint64_t generation_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t fail_at_ = 0;
    std::uint64_t halt_at_ = 0;
    std::uint64_t bytes_max_ = no_bytes_limit;
    std::error_code fail_with_;
    bool halted_ = false;
};

/// A file that a process of the host has open.
class Disk::File {
public:
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        if (dead()) return io_error();
        const Bytes& bytes = inode_->file.bytes();
        if (offset >= bytes.size()) return std::size_t{0};
        const std::size_t count =
            std::min(into.size(), bytes.size() - static_cast<std::size_t>(offset));
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
        return count;
    }
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        return dead() ? io_error() : disk_->write(*inode_, offset, from);
    }
    [[nodiscard]] std::error_code sync() noexcept {
        return dead() ? io_error() : disk_->sync(*inode_);
    }
    [[nodiscard]] Result<std::uint64_t> size() const noexcept {
        if (dead()) return io_error();
        return std::uint64_t{inode_->file.bytes().size()};
    }
    [[nodiscard]] std::error_code preallocate(std::uint64_t bytes) noexcept {
        return dead() ? io_error() : disk_->preallocate(*inode_, bytes);
    }

private:
    friend Disk;
    File(Disk& disk, std::shared_ptr<Inode> inode) noexcept
        : disk_{&disk}, inode_{std::move(inode)}, generation_{disk.generation_} {}
    bool dead() const noexcept { return generation_ != disk_->generation_; }

    Disk* disk_;
    std::shared_ptr<Inode> inode_;
    std::uint64_t generation_;
};

/// An exclusive lock that a process of the host holds.
class Disk::Lock {
public:
    Lock(Lock&&) noexcept = default;
    Lock& operator=(Lock&& other) noexcept {
        if (this != &other) {
            release();
            file_ = std::move(other.file_);
        }
        return *this;
    }
    ~Lock() { release(); }

private:
    friend Disk;
    explicit Lock(File file) noexcept : file_{std::move(file)} {}
    // The lock of a process that died is not this one's to release.
    void release() noexcept {
        if (file_.inode_ != nullptr && !file_.dead()) file_.inode_->locked = false;
    }

    File file_;
};

inline Result<Disk::File> Disk::open(const std::string& path, OpenMode mode) noexcept {
    const auto i = names_.find(path);
    if (mode != OpenMode::replace) {
        if (i == names_.end()) return std::make_error_code(std::errc::no_such_file_or_directory);
        return File{*this, i->second};
    }
    const Begun begun = begin_operation();
    if (begun.error && !begun.takes_effect) return begun.error;
    if (i == names_.end()) {
        NameChange change{path, std::make_shared<Inode>(), {}};
        apply(change, names_);
        pending_.push_back(std::move(change));
    } else {
        i->second->file.clear();
    }
    if (begun.error) return begun.error;
    return File{*this, names_.find(path)->second};
}

inline Result<Disk::Lock> Disk::lock(const std::string& path) noexcept {
    if (!names_.contains(path)) {
        if (Result<File> made = open(path, OpenMode::replace); !made) return made.error();
    }
    const std::shared_ptr<Inode>& inode = names_.find(path)->second;
    if (inode->locked) return make_error_code(QueueErrc::already_locked);
    inode->locked = true;
    return Lock{File{*this, inode}};
}

}  // namespace belay::inline BELAY_ABI::sim
