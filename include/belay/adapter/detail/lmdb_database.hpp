// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/lmdb_database.hpp
/// LmdbDatabase and LmdbRun: one file that no one else may open as a queue at the same time, and
/// one transaction on it.
#pragma once

#include <lmdb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>   // std::uint64_t
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move, std::exchange

#include <belay/adapter/detail/database_place.hpp>
#include <belay/adapter/lmdb_error.hpp>
#include <belay/core/bytes.hpp>
#include <belay/posix/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A number as a key: big endian, so that LMDB orders the keys by number.
class LmdbKey {
public:
    explicit LmdbKey(std::uint64_t number) noexcept {
        for (int i = 0; i < 8; ++i) bytes_[7 - i] = static_cast<unsigned char>(number >> (8 * i));
    }
    [[nodiscard]] MDB_val value() noexcept { return {sizeof bytes_, bytes_}; }
    /// Returns the number of a key of the database; 0 if the key is not a number.
    [[nodiscard]] static std::uint64_t number_of(const MDB_val& key) noexcept {
        if (key.mv_size != 8) return 0;
        std::uint64_t number = 0;
        for (int i = 0; i < 8; ++i) {
            number = number << 8 | static_cast<const unsigned char*>(key.mv_data)[i];
        }
        return number;
    }

private:
    unsigned char bytes_[8];
};

/// The access of a transaction, with the values of LMDB.
enum class LmdbAccess : unsigned { write = 0, read = MDB_RDONLY };

/// One transaction. Without `commit` it is undone.
class LmdbRun {
public:
    LmdbRun(MDB_env* env, MDB_dbi table, LmdbAccess access) noexcept : table_{table} {
        answer_ = mdb_txn_begin(env, nullptr, static_cast<unsigned>(access), &txn_);
    }
    LmdbRun(const LmdbRun&) = delete;
    LmdbRun& operator=(const LmdbRun&) = delete;
    ~LmdbRun() {
        if (txn_ != nullptr) mdb_txn_abort(txn_);
    }

    /// Returns 0 if it began, or else LMDB's error.
    [[nodiscard]] int begun() const noexcept { return answer_; }
    [[nodiscard]] int commit() noexcept { return mdb_txn_commit(std::exchange(txn_, nullptr)); }
    [[nodiscard]] MDB_txn* get() const noexcept { return txn_; }
    [[nodiscard]] MDB_dbi table() const noexcept { return table_; }

private:
    MDB_txn* txn_ = nullptr;
    MDB_dbi table_;
    int answer_;
};

struct LmdbClose {
    void operator()(MDB_env* env) const noexcept { mdb_env_close(env); }
    // Released after the environment, also when another one is assigned.
    std::optional<posix::Files::Lock> lock{};
};

/// An environment with its main table. Errors are those of LMDB.
class LmdbDatabase {
public:
    /// Opens or creates the file, and locks it while it is open.
    [[nodiscard]] std::error_code open(const std::string& path, unsigned flags) {
        // The lock comes first, because LMDB must not open a file twice in one process.
        Result<posix::Files::Lock> lock = posix::Files{}.lock(path);
        if (!lock) return lock.error();
        struct stat status {};
        const bool is_empty = ::stat(path.c_str(), &status) == 0 && status.st_size == 0;
        MDB_env* env = nullptr;
        if (answer_ = mdb_env_create(&env); answer_ == 0) {
            env_ = {env, LmdbClose{std::move(*lock)}};
            answer_ = mdb_env_set_mapsize(env, first_map_bytes);
        }
        if (answer_ == 0) {
            answer_ = mdb_env_open(env, path.c_str(), MDB_NOSUBDIR | MDB_NOTLS | flags, 0644);
            // A file that was created only in part would be taken for the file of another program.
            // If the truncation fails, the next opening reports it so.
            if (answer_ != 0 && is_empty) static_cast<void>(!::truncate(path.c_str(), 0));
        }
        if (answer_ == 0) {
            // The path may lead to another file since.
            std::error_code error = place_.remember(path);
            if (!error && !has_open(place_.file())) error = make_error_code(QueueErrc::displaced);
            if (error) {
                env_.reset();
                return error;
            }
            answer_ = reach_the_end();
        }
        if (answer_ == 0) {
            LmdbRun run{env, 0, LmdbAccess::write};
            answer_ = run.begun();
            if (answer_ == 0) answer_ = mdb_dbi_open(run.get(), nullptr, 0, &table_);
            if (answer_ == 0) answer_ = run.commit();
        }
        if (answer_ != 0) {
            env_.reset();
            return code_of_lmdb(answer_);
        }
        return {};
    }

    /// Returns no error if the path leads to the file that is open. If it does not, the next
    /// opening would not find what is written. Call it before each change and flush.
    ///
    /// Errors: displaced; those of looking.
    [[nodiscard]] std::error_code look() const noexcept { return place_.look(); }

    /// Runs `change(run)`, which returns an error of LMDB, in a transaction that writes. If the map
    /// is too small, it first frees the pages that dead readers still hold. Otherwise it enlarges
    /// the map. Then it runs `change` again.
    template <class Change>
    [[nodiscard]] int write(Change change) noexcept {
        for (;;) {
            {
                LmdbRun run{env_.get(), table_, LmdbAccess::write};
                answer_ = run.begun();
                if (answer_ == 0) answer_ = change(run);
                if (answer_ == 0) answer_ = run.commit();
            }
            if (answer_ != MDB_MAP_FULL) return answer_;
            if (frees_dead_readers()) continue;
            MDB_envinfo info;
            mdb_env_info(env_.get(), &info);
            if (info.me_mapsize > ~std::size_t{0} / 2) return answer_;
            if (!has_space(info.me_mapsize * 2)) return answer_ = ENOMEM;
            if (mdb_env_set_mapsize(env_.get(), info.me_mapsize * 2) != 0) {
                is_unmapped_ = true;
                return answer_ = ENOMEM;
            }
        }
    }
    /// Runs `look(run)` in a transaction that reads.
    template <class Look>
    [[nodiscard]] int read(Look look) const {
        if (is_unmapped_) return answer_ = ENOMEM;
        do {
            const LmdbRun run{env_.get(), table_, LmdbAccess::read};
            answer_ = run.begun();
            if (answer_ == 0) answer_ = look(run);
        } while (answer_ == MDB_READERS_FULL && frees_dead_readers());
        return answer_;
    }
    [[nodiscard]] int flush() noexcept { return answer_ = mdb_env_sync(env_.get(), 1); }
    /// Whether the last commit failed and could not be undone, or the map is lost. LMDB does
    /// nothing more in both cases.
    [[nodiscard]] bool is_broken() const noexcept {
        return is_unmapped_ || LmdbRun{env_.get(), table_, LmdbAccess::read}.begun() == MDB_PANIC;
    }
    /// Returns the bytes of the pages in use.
    [[nodiscard]] static std::size_t live_bytes(const LmdbRun& run) noexcept {
        MDB_stat stat;
        if (mdb_stat(run.get(), run.table(), &stat) != 0) return 0;
        return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
    }
    /// Returns LMDB's text for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept {
        return answer_ == 0 ? "" : mdb_strerror(answer_);
    }

private:
    /// Whether this is the file that LMDB has open.
    [[nodiscard]] bool has_open(const FileIdentity& file) const noexcept {
        int fd = -1;
        mdb_env_get_fd(env_.get(), &fd);
        const Result<FileIdentity> open = posix::detail::identity_of(fd);
        return open && *open == file;
    }
    static constexpr std::size_t first_map_bytes = 1 << 20;

    /// Whether a reader had died without releasing its slot and the pages that it saw.
    [[nodiscard]] bool frees_dead_readers() const noexcept {
        int dead = 0;
        return mdb_reader_check(env_.get(), &dead) == 0 && dead > 0;
    }
    /// Whether a map of this size is possible. LMDB unmaps the old one before it maps the new one.
    /// If that fails, it ends the process at the next call.
    [[nodiscard]] static bool has_space(std::size_t size) noexcept {
        void* const space = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return space != MAP_FAILED && ::munmap(space, size) == 0;
    }
    /// Extends a file that was cut short, because reading a page beyond the end would end the
    /// process. Pages that are not in use may be missing, so this is no error yet. A page of zeros
    /// is not a valid page.
    [[nodiscard]] int reach_the_end() noexcept {
        MDB_envinfo info;
        MDB_stat stat;
        int fd = -1;
        struct stat status {};
        mdb_env_info(env_.get(), &info);
        mdb_env_stat(env_.get(), &stat);
        mdb_env_get_fd(env_.get(), &fd);
        if (::fstat(fd, &status) != 0) return errno;
        const auto end = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
        return status.st_size >= end || ::ftruncate(fd, end) == 0 ? 0 : errno;
    }

    std::unique_ptr<MDB_env, LmdbClose> env_;
    DatabasePlace place_;
    MDB_dbi table_ = 0;
    mutable int answer_ = 0;
    bool is_unmapped_ = false;
};

}}}  // namespace belay::detail
