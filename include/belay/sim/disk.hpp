// SPDX-License-Identifier: MIT
/// \file belay/sim/disk.hpp
/// sim::Disk: a disk in memory that loses, on demand, what a real one may lose.
#pragma once

#include <algorithm>    // std::any_of, std::copy_n, std::min, std::max
#include <array>        // std::array
#include <memory>       // std::shared_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::pair
#include <vector>       // std::vector

#include <belay/core/random.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sim/detail/disk_names.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The disk of one simulated host, which outlives the processes that use it.
///
/// Written data is visible at once, and survives `kill()`, the death of the process. It survives
/// `crash()`, the loss of power, only if its file was synced. For everything else, the given bits
/// decide
/// - which of the sizes that the file had since its last sync it has, after each call and each page
///   of 4,096 bytes that was appended;
/// - whether each 512-byte sector is kept, lost, torn or noise, or all of the file is kept or lost;
/// - whether each name that was made, moved or removed since its directory was synced is so or not.
///
/// Paths are absolute or seen from the root: "/kv.log" and "kv.log" are the same file.
///
/// Bytes that a write did not change stay as they were. If a directory is lost, everything in it is
/// lost, synced or not. A directory that no process made was there from the start.
///
/// Faults are planned by the number of the operation. Operations are the calls that change the disk
/// or make it durable: open to replace, lock, write, sync, preallocate, resize, rename, remove,
/// create_directory, remove_directory and sync_directory. Opens are the calls that need a
/// descriptor: open, lock, list, names_in and sync_directory.
///
/// Models:        FileSystemLike.
/// Thread safety: distinct objects safe.
class Disk {
    using Inode = detail::DiskFile;

public:
    class File;
    /// An exclusive lock that a process of the host holds: its file.
    using Lock = File;
    /// The content of a disk, by path, without a slash in front.
    using Image = std::vector<std::pair<std::string, Bytes>>;
    /// The limit of a disk that is never full.
    static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

    Disk() = default;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // ---- the file system ------------------------------------------------------------------------

    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept;
    [[nodiscard]] Result<Lock> lock(const std::string& path) noexcept;
    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity(
        const std::string& path) const noexcept {
        if (const std::error_code error = begin_read()) return error;
        const auto file = names_.find(path);
        if (file == nullptr) return std::make_error_code(std::errc::no_such_file_or_directory);
        return std::array<std::uint64_t, 2>{0, file->state.number};
    }

    [[nodiscard]] Result<std::uint64_t> size(const std::string& path) const noexcept {
        if (const std::error_code error = begin_read()) return error;
        const auto file = names_.find(path);
        if (file == nullptr) return std::make_error_code(std::errc::no_such_file_or_directory);
        return std::uint64_t{file->bytes.bytes().size()};
    }

    /// Renames a file, or a directory with its content, also in the place of an empty one.
    [[nodiscard]] std::error_code rename(const std::string& from, const std::string& to) noexcept {
        if (const std::error_code error = belay::detail::path_error(to)) return error;
        const bool is_file = names_.find(from) != nullptr;
        if (!is_file && !has_directory(from)) {
            return std::make_error_code(std::errc::no_such_file_or_directory);
        }
        if (!is_file && !names_.names_in(to).empty()) {
            return std::make_error_code(std::errc::directory_not_empty);
        }
        const Begun begun = begin_operation();
        if (begun.takes_effect) is_file ? names_.move(from, to) : names_.move_directory(from, to);
        return noted(begun.error, [&] { return "renames " + named(from) + " to " + named(to); });
    }
    /// Removes a file.   Errors: no_such_file_or_directory; those of faults.
    [[nodiscard]] std::error_code remove(const std::string& path) noexcept {
        if (!names_.find(path)) return std::make_error_code(std::errc::no_such_file_or_directory);
        const Begun begun = begin_operation();
        if (begun.takes_effect) names_.remove(path);
        return noted(begun.error, [&] { return "removes " + named(path); });
    }
    [[nodiscard]] Result<std::vector<std::string>> list(const std::string& path) const {
        if (const std::error_code error = begin_read()) return error;
        if (const std::error_code error = begin_open()) return error;
        const std::string_view directory = detail::DiskNames::name_of(path);
        const std::string prefix = std::string{directory} + (directory.empty() ? "" : "/");
        std::vector<std::string> names;
        for (const auto& [name, file] : names_.all()) {
            if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
        }
        return names_.in_order(std::move(names));
    }
    /// Makes a directory. Files do not need one; a directory that was made can be lost until its
    /// parent is synced.
    [[nodiscard]] std::error_code create_directory(const std::string& path) noexcept {
        if (const std::error_code error = belay::detail::path_error(path)) return error;
        const Begun begun = begin_operation();
        if (begun.takes_effect) names_.make_directory(path);
        return noted(begun.error, [&] { return "makes the directory " + named(path); });
    }
    /// Removes a directory. It can come back until its parent is synced.
    /// Errors: directory_not_empty; no_such_file_or_directory.
    [[nodiscard]] std::error_code remove_directory(const std::string& path) noexcept {
        if (!has_directory(path)) return make_error_code(std::errc::no_such_file_or_directory);
        if (!names_.names_in(path).empty()) return make_error_code(std::errc::directory_not_empty);
        const Begun begun = begin_operation();
        if (begun.takes_effect) names_.remove_directory(path);
        return noted(begun.error, [&] { return "removes the directory " + named(path); });
    }
    /// Returns the names in a directory, as readdir() does: those of files and of directories. Like
    /// that of `list`, their order depends on the world's seed and the host, and on nothing else.
    [[nodiscard]] Result<std::vector<std::string>> names_in(const std::string& path) const {
        if (const std::error_code error = begin_read()) return error;
        if (const std::error_code error = begin_open()) return error;
        const auto names = names_.names_in(path);
        return names_.in_order({names.begin(), names.end()});
    }
    /// Returns whether there is a file of this name. It is not an operation of a process.
    [[nodiscard]] bool has_file(const std::string& path) const {
        return names_.find(path) != nullptr;
    }
    /// For a binding: returns the state of a file or directory; null if there is none.
    [[nodiscard]] detail::FileState* state(const std::string& path) { return names_.state(path); }
    /// Returns whether there is a directory: the root, one that was made, or one with files.
    [[nodiscard]] bool has_directory(const std::string& path) const {
        return names_.has_directory(path);
    }
    /// `is_open`: the process has a descriptor of the directory already, so it needs no other.
    [[nodiscard]] std::error_code sync_directory(const std::string& path,
                                                 bool is_open = false) noexcept {
        if (!is_open) {
            if (const std::error_code error = begin_open()) return error;
        }
        const Begun begun = begin_operation();
        if (begun.syncs() && !ignores_syncs_) names_.sync(path);
        return noted(begun.error, [&] { return syncs(std::string{named(path)}); });
    }

    // ---- the end of processes -------------------------------------------------------------------

    /// Kills the processes: locks are released, and open files return errors. Nothing written is
    /// lost. Planned faults end; those of a host do not, when a world kills its process.
    void kill() noexcept {
        end_processes();
        planned_.clear();
    }

    /// Simulates a loss of power: the processes die, and a part of what was not synced is lost.
    template <part::BitSource Bits>
    void crash(Bits&& bits) {
        kill();
        names_.crash(bits, log_);
    }

    // ---- faults ---------------------------------------------------------------------------------

    // Faults that are planned by a number do not replace each other. 0 ends those of a function.

    /// Returns the number of operations so far.
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }

    /// Makes operation `number` fail with `error`. A failed write leaves half of its bytes in the
    /// file. A failed sync forgets, as real systems do, that the file was dirty. A later sync then
    /// succeeds, and makes none of these bytes durable.
    void fail_at(std::uint64_t number, std::error_code error) { plan(Plan::fail, number, error); }
    /// Makes operation `n` take effect, and return `error` all the same, as a network file
    /// system may. A written file holds all bytes, and a sync has made them durable.
    void fail_after(std::uint64_t n, std::error_code error) { plan(Plan::fail_after, n, error); }
    /// Returns the number of reads so far. Reads are the calls that only look: open of an existing
    /// file, read, size, list, and identity.
    [[nodiscard]] std::uint64_t reads() const noexcept { return reads_; }
    /// Makes read `n` fail with `error`.
    void fail_read_at(std::uint64_t n, std::error_code error) { plan(Plan::fail_read, n, error); }
    /// Returns the number of opens so far.
    [[nodiscard]] std::uint64_t opens() const noexcept { return opens_; }
    /// Makes open `n` fail with `error`, such as EMFILE. If it was to replace a file, the
    /// former file is removed, as by posix::Files.
    void fail_open_at(std::uint64_t n, std::error_code error) { plan(Plan::fail_open, n, error); }
    /// Makes every open fail with EMFILE, until `exhaust_descriptors(false)`. Files that are open
    /// still work. The end of a process does not end it.
    void exhaust_descriptors(bool exhausted) noexcept { exhausted_ = exhausted; }
    /// Makes the power fail during operation `number`. The operation takes effect without being
    /// durable, and it and all later ones return errors. Call `crash()` or `kill()` afterwards.
    void halt_at(std::uint64_t number) { plan(Plan::halt, number); }
    /// Limits the disk to `bytes`; an operation that needs more fails with ENOSPC. A write that
    /// fails so leaves the bytes in the file that there was space for, as real systems do.
    void limit_bytes(std::uint64_t bytes) noexcept { bytes_max_ = bytes; }
    /// Limits the disk to what is on it when operation `number` begins.
    void fill_at(std::uint64_t number) { plan(Plan::fill, number); }
    /// Makes operation `number`, if it is a write, go to a place 4,096 bytes behind its own. It
    /// succeeds, and what was at that place is lost.
    void misdirect_at(std::uint64_t number) { plan(Plan::misdirect, number); }
    /// Makes each sync succeed without an effect, as a drive that confirms what is in its cache,
    /// until `ignore_syncs(false)`. A loss of power may then take what programs believe durable.
    void ignore_syncs(bool ignores) noexcept { ignores_syncs_ = ignores; }
    /// Flips one bit of the bytes on the disk, durably: that of `number`, modulo all bits of all
    /// files in the order of their names. Does nothing if there are none.
    void flip_bit(std::uint64_t number) noexcept {
        const std::uint64_t bits = used_bytes() * 8;
        if (bits == 0) return;
        std::uint64_t bit = number % bits;
        for (const auto& [name, file] : names_.all()) {
            const std::uint64_t here = std::uint64_t{file->bytes.bytes().size()} * 8;
            if (bit < here) return file->bytes.flip(bit);
            bit -= here;
        }
    }
    /// Makes every operation that changes or syncs the disk fail with an I/O error and without an
    /// effect, until `refuse(false)`. Reading still works, and so does opening a file that is
    /// there. The end of a process does not end it.
    void refuse(bool refuses) noexcept { refuses_ = refuses; }
    /// Ends all faults: the refusal, the limit, the ignored syncs, the lack of descriptors, and the
    /// calls that were to fail. Lost data stays lost.
    void mend() noexcept {
        refuses_ = ignores_syncs_ = exhausted_ = false;
        planned_.clear();
        bytes_max_ = no_limit;
    }

    // ---- from outside ---------------------------------------------------------------------------

    /// Returns the bytes of a file as programs see them; none if it does not exist.
    [[nodiscard]] Bytes contents(const std::string& path) const {
        const auto file = names_.find(path);
        return file == nullptr ? Bytes{} : file->bytes.bytes();
    }
    /// Puts a file on the disk, durably, together with the directories above it that were made.
    /// Earlier changes of its name do not matter.
    void put(const std::string& path, Bytes bytes) {
        auto file = names_.make();
        file->bytes = detail::DiskInode{std::move(bytes)};
        names_.put(path, std::move(file));
    }
    /// Returns a copy of everything, for `restore`.
    [[nodiscard]] Image image() const {
        Image image;
        for (const auto& [name, file] : names_.all()) {
            image.emplace_back(name, file->bytes.bytes());
        }
        return image;
    }
    /// Replaces everything, durably, as a backup that is restored, and kills the processes. An
    /// empty image is a new disk.
    void restore(const Image& image) {
        kill();
        names_.clear();
        for (const auto& [name, bytes] : image) put(name, bytes);
    }
    /// Adds the names and the content of all files, and the directories that were made. After a
    /// loss of power, that is all that programs find.
    void digest(Digest& digest) const { names_.digest(digest); }
    /// Returns how many files the processes have open, also removed ones. A lock is one of them.
    [[nodiscard]] std::size_t open_files() const noexcept { return process_->files; }
    /// Returns the bytes that are free; no_limit if there is no limit.
    [[nodiscard]] std::uint64_t unused_bytes() const noexcept {
        return bytes_max_ == no_limit ? no_limit : free_bytes();
    }
    /// Returns the bytes that all files take.
    [[nodiscard]] std::uint64_t used_bytes() const noexcept {
        std::uint64_t sum = 0;
        for (const auto& [name, file] : names_.all()) sum += file->bytes.bytes().size();
        return sum;
    }

private:
    // A fault of one call, which has this number.
    enum class Plan { fail, fail_after, halt, fill, misdirect, fail_read, fail_open };
    struct Planned {
        Plan plan;
        std::uint64_t number;
        std::error_code error;
    };
    struct Begun {
        std::error_code error;
        bool takes_effect = true;
        bool loses_power = false;

        [[nodiscard]] bool syncs() const noexcept { return takes_effect && !loses_power; }
    };
    // The processes that run since the last kill.
    struct Process {
        std::size_t files = 0;  // that they have open
        bool is_dead = false;
    };

    /// Notes an operation in the history of a recorded world.   Returns: its error.
    template <class Text>
    std::error_code noted(std::error_code error, Text&& text) const noexcept {
        if (log_) log_(false, text() + (error ? ", which fails: " + error.message() : ""));
        return error;
    }
    [[nodiscard]] static std::string named(std::string_view path) {
        const std::string_view name = detail::DiskNames::name_of(path);
        return name.empty() ? "/" : std::string{name};
    }
    [[nodiscard]] std::string syncs(const std::string& name) const {
        return "syncs " + name + (ignores_syncs_ ? ", which the disk ignores" : "");
    }
    [[nodiscard]] Result<File> open_file(const std::string& path, OpenMode mode) noexcept;

    static std::error_code io_error() noexcept { return std::make_error_code(std::errc::io_error); }

    [[nodiscard]] bool off() const noexcept { return halted_ || refuses_; }

    void end_processes() noexcept {
        process_->is_dead = true;
        process_ = std::make_shared<Process>();
        halted_ = false;
        halt_at(0);
        names_.unlock_all();
    }
    void plan(Plan plan, std::uint64_t number, std::error_code error = {}) {
        std::erase_if(planned_, [&](const Planned& p) {
            return p.plan == plan && (number == 0 || p.number == number);
        });
        if (number != 0) planned_.push_back({plan, number, error});
    }
    /// Returns what is planned for a call; null if nothing.
    [[nodiscard]] const Planned* planned(Plan plan, std::uint64_t number) const noexcept {
        for (const Planned& p : planned_) {
            if (p.plan == plan && p.number == number) return &p;
        }
        return nullptr;
    }
    [[nodiscard]] std::error_code begin_read() const noexcept {
        const Planned* const fails = planned(Plan::fail_read, ++reads_);
        return fails != nullptr ? fails->error : std::error_code{};
    }
    [[nodiscard]] std::error_code begin_open() const noexcept {
        if (const Planned* const fails = planned(Plan::fail_open, ++opens_)) return fails->error;
        return exhausted_ ? std::make_error_code(std::errc::too_many_files_open)
                          : std::error_code{};
    }
    Begun begin_operation() noexcept {
        if (off()) return {io_error(), false};
        ++operations_;
        if (planned(Plan::fill, operations_)) bytes_max_ = used_bytes();
        if (planned(Plan::halt, operations_)) {
            halted_ = true;
            return {.error = io_error(), .loses_power = true};
        }
        if (const auto* const p = planned(Plan::fail, operations_)) return {p->error, false};
        if (const auto* const p = planned(Plan::fail_after, operations_))
            return {.error = p->error};
        return {};
    }

    bool fits(const Inode& inode, std::size_t bytes) const noexcept {
        const std::size_t have = inode.bytes.bytes().size();
        return bytes <= have || bytes_max_ == no_limit ||
               used_bytes() + (bytes - have) <= bytes_max_;
    }
    /// Pre: there is a limit.
    [[nodiscard]] std::size_t free_bytes() const noexcept {
        const std::uint64_t used = used_bytes();
        return static_cast<std::size_t>(used < bytes_max_ ? bytes_max_ - used : 0);
    }
    std::error_code write(Inode& inode, std::uint64_t offset, BytesView from,
                          std::size_t* written) noexcept {
        const Begun begun = begin_operation();
        if (off() && !begun.takes_effect) return begun.error;
        const std::uint64_t aside = planned(Plan::misdirect, operations_) != nullptr ? 4096 : 0;
        const auto begin = static_cast<std::size_t>(offset + aside);
        const bool half = !begun.takes_effect;
        std::size_t count = half ? from.size() / 2 : from.size();
        const bool fit = fits(inode, begin + count);
        if (!fit) {
            // As real systems do, it writes what there is space for.
            const std::size_t end = inode.bytes.bytes().size() + free_bytes();
            count = end > begin ? end - begin : 0;
        }
        if (fit || count != 0) inode.bytes.write(begin, from.first(count));
        if (written != nullptr) *written = count;
        return noted(fit ? begun.error : std::make_error_code(std::errc::no_space_on_device), [&] {
            const std::string text = detail::excerpt(from);
            return "writes " + std::to_string(count) + " bytes to " + names_.name_of(inode) +
                   " at " + std::to_string(begin) + (text.empty() ? "" : ": ") + text;
        });
    }
    std::error_code sync(Inode& inode) noexcept {
        const Begun begun = begin_operation();
        if (!off() && !(begun.syncs() && ignores_syncs_)) {
            // After an error, a real system has marked the pages as clean all the same, and does
            // not write them again.
            begun.syncs() ? inode.bytes.sync() : inode.bytes.forget_dirty();
        }
        return noted(begun.error, [&] { return syncs(names_.name_of(inode)); });
    }
    std::error_code resize(Inode& inode, std::uint64_t bytes) noexcept {
        const Begun begun = begin_operation();
        if (!begun.takes_effect) return begun.error;
        const auto wanted = static_cast<std::size_t>(bytes);
        const bool fit = fits(inode, wanted);
        if (fit) inode.bytes.resize(wanted);
        return noted(fit ? begun.error : std::make_error_code(std::errc::no_space_on_device), [&] {
            return "sets the size of " + names_.name_of(inode) + " to " + std::to_string(bytes);
        });
    }

    friend class Host;

    detail::DiskNames names_;
    mutable detail::DiskLog log_;
    std::shared_ptr<Process> process_ = std::make_shared<Process>();
    std::uint64_t operations_ = 0;
    mutable std::uint64_t reads_ = 0;
    mutable std::uint64_t opens_ = 0;
    std::vector<Planned> planned_;
    std::uint64_t bytes_max_ = no_limit;
    bool halted_ = false;
    bool refuses_ = false;
    bool ignores_syncs_ = false;
    bool exhausted_ = false;
};

/// A file that a process of the host has open.
class Disk::File {
public:
    File(File&&) noexcept = default;
    File& operator=(File&& other) noexcept {
        if (this != &other) {
            close();
            disk_ = other.disk_;
            inode_ = std::move(other.inode_);
            process_ = std::move(other.process_);
            locks_ = other.locks_;
        }
        return *this;
    }
    ~File() { close(); }

    /// Returns whether a path still refers to this file. It was not removed or replaced.
    [[nodiscard]] bool has_name() const noexcept {
        const auto& all = disk_->names_.all();
        return std::any_of(all.begin(), all.end(),
                           [&](const auto& entry) { return entry.second == inode_; });
    }
    /// For a binding: returns the state and the bytes of the file.
    [[nodiscard]] detail::FileState& state() const noexcept { return inode_->state; }
    [[nodiscard]] const Bytes& bytes() const noexcept { return inode_->bytes.bytes(); }
    [[nodiscard]] std::error_code lock() noexcept {
        if (dead()) return io_error();
        if (inode_->locked && !locks_) return make_error_code(QueueErrc::already_locked);
        inode_->locked = locks_ = true;
        return {};
    }
    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity() const noexcept {
        return std::array<std::uint64_t, 2>{0, inode_->state.number};
    }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        if (dead()) return io_error();
        if (const std::error_code error = disk_->begin_read()) return error;
        const Bytes& bytes = inode_->bytes.bytes();
        if (offset >= bytes.size()) return std::size_t{0};
        const std::size_t count =
            std::min(into.size(), bytes.size() - static_cast<std::size_t>(offset));
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, into.begin());
        return count;
    }
    /// `written`, if it is not null, receives how many bytes are in the file, also after ENOSPC.
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from,
                                        std::size_t* written = nullptr) noexcept {
        return dead() ? io_error() : disk_->write(*inode_, offset, from, written);
    }
    [[nodiscard]] std::error_code sync() noexcept {
        return dead() ? io_error() : disk_->sync(*inode_);
    }
    [[nodiscard]] Result<std::uint64_t> size() const noexcept {
        if (dead()) return io_error();
        if (const std::error_code error = disk_->begin_read()) return error;
        return std::uint64_t{inode_->bytes.bytes().size()};
    }
    [[nodiscard]] std::error_code preallocate(std::uint64_t bytes) noexcept {
        if (dead()) return io_error();
        return disk_->resize(*inode_, std::max<std::uint64_t>(bytes, inode_->bytes.bytes().size()));
    }
    /// Sets the size of the file, which may lose its end. New bytes are zeros.
    [[nodiscard]] std::error_code resize(std::uint64_t bytes) noexcept {
        return dead() ? io_error() : disk_->resize(*inode_, bytes);
    }

private:
    friend Disk;
    File(Disk& disk, std::shared_ptr<Inode> inode) noexcept
        : disk_{&disk}, inode_{std::move(inode)}, process_{disk.process_} {
        ++process_->files;
    }
    bool dead() const noexcept { return process_->is_dead; }
    // A lock of a process that died was released already, and may have a new owner.
    void close() noexcept {
        if (inode_ == nullptr) return;
        --process_->files;
        if (locks_ && !dead()) inode_->locked = false;
    }

    Disk* disk_;
    std::shared_ptr<Inode> inode_;
    std::shared_ptr<Process> process_;
    bool locks_ = false;
};

inline Result<Disk::File> Disk::open(const std::string& path, OpenMode mode) noexcept {
    Result<File> opened = open_file(path, mode);
    noted(opened ? std::error_code{} : opened.error(),
          [&] { return (mode == OpenMode::replace ? "creates " : "opens ") + named(path); });
    return opened;
}
inline Result<Disk::File> Disk::open_file(const std::string& path, OpenMode mode) noexcept {
    if (const std::error_code error = belay::detail::path_error(path)) return error;
    if (mode != OpenMode::replace) {
        if (const std::error_code error = begin_read()) return error;
        if (const std::error_code error = begin_open()) return error;
        auto file = names_.find(path);
        if (file == nullptr) return std::make_error_code(std::errc::no_such_file_or_directory);
        return File{*this, std::move(file)};
    }
    const std::error_code no_descriptor = begin_open();
    const Begun begun = begin_operation();
    if (begun.takes_effect && no_descriptor) {
        if (names_.find(path)) names_.remove(path);
        return begun.error ? begun.error : no_descriptor;
    }
    if (begun.takes_effect) names_.set(path, names_.make());
    if (begun.error) return begun.error;
    return File{*this, names_.find(path)};
}

inline Result<Disk::Lock> Disk::lock(const std::string& path) noexcept {
    if (!names_.find(path)) {
        if (Result<File> made = open(path, OpenMode::replace); !made) return made.error();
    } else if (const std::error_code error = begin_open()) {
        return error;
    }
    File file{*this, names_.find(path)};
    if (const std::error_code error = file.lock()) return error;
    return file;
}

}}}  // namespace belay::sim
