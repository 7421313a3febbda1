// SPDX-License-Identifier: MIT
// Goal: FileSystemLike accepts its archetype, and rejects types that lack one of its requirements.
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalFileSystem;

static_assert(explain::file_system_like<MinimalFileSystem>());
// A journal uses only what the concept promises.
template class belay::Journal<MinimalFileSystem>;

namespace {

struct NoFile : MinimalFileSystem {
    using File = void;
};
struct NoOpen : MinimalFileSystem {
    Result<File> open(const std::string&, OpenMode) = delete;
};
struct LockThatThrows : MinimalFileSystem {
    Result<Lock> lock(const std::string&);
};
struct NoRename : MinimalFileSystem {
    std::error_code rename(const std::string&, const std::string&) = delete;
};
struct NoSyncDirectory : MinimalFileSystem {
    std::error_code sync_directory(const std::string&) = delete;
};
struct FileWithoutSync : MinimalFileSystem {
    struct File : MinimalFileSystem::File {
        std::error_code sync() = delete;
    };
    Result<File> open(const std::string&, OpenMode) noexcept;
};

struct FileWithoutLock : MinimalFileSystem {
    struct File : MinimalFileSystem::File {
        std::error_code lock() = delete;
    };
    Result<File> open(const std::string&, OpenMode) noexcept;
};
struct NoIdentity : MinimalFileSystem {
    Result<std::array<std::uint64_t, 2>> identity(const std::string&) = delete;
};
struct FileWithoutIdentity : MinimalFileSystem {
    struct File : MinimalFileSystem::File {
        Result<std::array<std::uint64_t, 2>> identity() const = delete;
    };
    Result<File> open(const std::string&, OpenMode) noexcept;
};

struct YieldAlone : MinimalFileSystem {
    void yield() noexcept {}
};
struct NowAlone : MinimalFileSystem {
    Instant now() noexcept { return always; }
};
struct YieldAndNow : YieldAlone {
    Instant now() noexcept { return always; }
};
struct YieldThatThrows : NowAlone {
    void yield() {}
};

static_assert(!belay::detail::GivesWay<MinimalFileSystem>);
static_assert(FileSystemLike<YieldAndNow> && belay::detail::GivesWay<YieldAndNow>);
static_assert(!FileSystemLike<YieldAlone>);
static_assert(!FileSystemLike<NowAlone>);
static_assert(!FileSystemLike<YieldThatThrows>);
static_assert(!FileSystemLike<NoFile>);
static_assert(!FileSystemLike<NoOpen>);
static_assert(!FileSystemLike<LockThatThrows>);
static_assert(!FileSystemLike<NoRename>);
static_assert(!FileSystemLike<NoSyncDirectory>);
static_assert(!FileSystemLike<FileWithoutSync>);
static_assert(!FileSystemLike<FileWithoutLock>);
static_assert(!FileSystemLike<NoIdentity>);
static_assert(!FileSystemLike<FileWithoutIdentity>);

}  // namespace
