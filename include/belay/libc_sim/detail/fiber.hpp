// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/fiber.hpp
/// LibcFiber: a function with a stack of its own, which may wait in the middle of its work.
#pragma once

#include <link.h>      // dl_iterate_phdr
#include <sys/mman.h>  // mmap
#include <ucontext.h>  // swapcontext
#include <unistd.h>    // sysconf

#include <cerrno>     // errno
#include <cstddef>    // std::byte, std::size_t
#include <cstring>    // std::memcpy
#include <span>       // std::span
#include <stdexcept>  // std::runtime_error
#include <string>     // std::to_string
#include <utility>    // std::move, std::swap

#include <belay/core/bytes.hpp>
#include <belay/core/detail/function.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The exceptions that a thread handles. Not every standard library declares the function.
void* libc_exception_globals() noexcept asm("__cxa_get_globals");

/// The thread-local variables of a fiber: those of the executable, the exceptions that are being
/// handled, and errno. Code such as asio's keeps a list of what is on the stack there.
///
/// Thread safety: one thread.
class LibcThreadLocals {
public:
    /// Makes the variables of a new thread.
    LibcThreadLocals() {
        // The first entry is the executable.
        static_cast<void>(dl_iterate_phdr(&LibcThreadLocals::read, &block_));
        variables_.resize(block_.size);
        if (block_.image_size != 0) {
            std::memcpy(variables_.data(), block_.image, block_.image_size);
        }
    }
    /// Makes these variables those of the thread, which are kept meanwhile.
    [[gnu::noinline]] void enter() {
        kept_.assign(block_.live, block_.live + block_.size);
        std::memcpy(block_.live, variables_.data(), block_.size);
        exchange_others();
    }
    /// Makes the variables of the thread its own again.
    [[gnu::noinline]] void leave() noexcept {
        variables_.assign(block_.live, block_.live + block_.size);
        std::memcpy(block_.live, kept_.data(), block_.size);
        exchange_others();
    }

private:
    struct Block {
        std::byte* live = nullptr;  // of the thread that asked
        std::size_t size = 0;
        const void* image = nullptr;
        std::size_t image_size = 0;
    };
    // Source: Itanium C++ ABI, exception handling, 2.2.2.
    struct Exceptions {
        void* caught = nullptr;
        unsigned int uncaught = 0;
    };

    void exchange_others() noexcept {
        auto* const live = static_cast<Exceptions*>(libc_exception_globals());
        std::swap(*live, exceptions_);
        std::swap(errno, errno_);
    }
    static int read(dl_phdr_info* info, std::size_t, void* result) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& header = info->dlpi_phdr[i];
            if (header.p_type != PT_TLS || info->dlpi_tls_data == nullptr) continue;
            *static_cast<Block*>(result) = {
                static_cast<std::byte*>(info->dlpi_tls_data),
                static_cast<std::size_t>(header.p_memsz),
                reinterpret_cast<const void*>(info->dlpi_addr + header.p_vaddr),
                static_cast<std::size_t>(header.p_filesz)};
        }
        return 1;
    }

    Block block_{};
    Bytes variables_;
    Bytes kept_;
    Exceptions exceptions_{};
    int errno_ = 0;
};

/// A function with a stack of its own.
///
/// The destructor abandons a function that has not returned: its destructors do not run, as those
/// of a process do not run when the power fails. Its allocations and its stack stay for
/// ever, because objects outside may point there.
///
/// Thread safety: one thread, which is always the same.
class LibcFiber {
public:
    static constexpr std::size_t stack_bytes = std::size_t{1} << 20U;

    explicit LibcFiber(Function<void()> main) : main_{std::move(main)} {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        // Pages that are never touched cost nothing. The lowest one ends a stack that overflows.
        void* const memory = mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {
            const int error = errno;
            if (memory != MAP_FAILED) munmap(memory, page + stack_bytes);
            throw std::runtime_error{
                "sim::Program: no memory for a stack (errno " + std::to_string(error) +
                "), after " + std::to_string(abandoned()) +
                " programs were abandoned, whose stacks stay; run fewer seeds in a process, or "
                "raise vm.max_map_count"};
        }
        mapping_ = {static_cast<std::byte*>(memory), page + stack_bytes};
        getcontext(&inside_);
        inside_.uc_stack.ss_sp = mapping_.data() + page;
        inside_.uc_stack.ss_size = stack_bytes;
        inside_.uc_link = nullptr;
        makecontext(&inside_, &LibcFiber::begin, 0);
    }
    LibcFiber(const LibcFiber&) = delete;
    LibcFiber& operator=(const LibcFiber&) = delete;
    ~LibcFiber() {
        if (begun_ && !done_) {
            ++abandoned();
        } else {
            munmap(mapping_.data(), mapping_.size());
        }
    }

    /// Runs the function until it waits, or has returned.   Pre: !done(), not called in a fiber.
    void resume() {
        begun_ = true;
        starting() = this;
        locals_.enter();
        swapcontext(&outside_, &inside_);
        locals_.leave();
    }
    /// Returns to the caller of resume(), until the next resume().   Pre: called in this fiber.
    void suspend() { swapcontext(&inside_, &outside_); }
    [[nodiscard]] bool done() const noexcept { return done_; }
    /// Returns how many functions of this process were abandoned.
    static std::size_t& abandoned() noexcept {
        static std::size_t count = 0;
        return count;
    }

private:
    static void begin() noexcept {
        LibcFiber& self = *starting();
        self.main_();
        self.done_ = true;
        self.suspend();
    }
    static LibcFiber*& starting() noexcept {
        static LibcFiber* fiber = nullptr;
        return fiber;
    }

    Function<void()> main_;
    std::span<std::byte> mapping_;
    ucontext_t inside_{};
    ucontext_t outside_{};
    LibcThreadLocals locals_;
    bool begun_ = false;
    bool done_ = false;
};

}}}  // namespace belay::detail
