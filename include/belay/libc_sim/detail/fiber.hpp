// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/fiber.hpp
/// LibcFiber: a function with a stack of its own, which may wait in the middle of its work.
#pragma once

#include <link.h>      // dl_iterate_phdr
#include <sys/mman.h>  // mmap
#include <ucontext.h>  // swapcontext, of other processors
#include <unistd.h>    // sysconf

#include <cerrno>     // errno
#include <cstddef>    // std::byte, std::size_t
#include <cstdint>    // std::uint32_t
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

#if defined(__x86_64__)
#    define BELAY_DETAIL_SWITCHES 1
// Saves the registers that a function keeps, on the stack, and takes those of another stack.
// Source: System V ABI, AMD64 supplement, 3.2.1.
asm(R"(.pushsection .text
.weak belay_libc_switch
.hidden belay_libc_switch
.type belay_libc_switch, @function
belay_libc_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
.size belay_libc_switch, .-belay_libc_switch
.popsection)");
#elif defined(__aarch64__)
#    define BELAY_DETAIL_SWITCHES 1
// The same.   Source: AAPCS64, 6.1.1 and 6.1.2.
asm(R"(.pushsection .text
.weak belay_libc_switch
.hidden belay_libc_switch
.type belay_libc_switch, %function
belay_libc_switch:
    stp x29, x30, [sp, #-160]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    ret
.size belay_libc_switch, .-belay_libc_switch
.popsection)");
#else
#    define BELAY_DETAIL_SWITCHES 0
#endif

#if BELAY_DETAIL_SWITCHES
void libc_switch(void** from, void* to) noexcept asm("belay_libc_switch");

/// The place where a function waits, on its stack. A switch is no system call, unlike that of
/// swapcontext(): the mask of signals is one for all fibers.
struct LibcContext {
    /// Begins a function on a stack, at the first switch to it.
    void begin(std::span<std::byte> stack, void (*function)()) noexcept {
        // As after a call without a caller. The other registers are zeros, like the memory.
        auto** const top = reinterpret_cast<void**>(stack.data() + stack.size());
        auto* const start = reinterpret_cast<void*>(function);
#    if defined(__x86_64__)
        auto** const frame = top - 9;
        frame[7] = start;
        const std::uint32_t numbers[2]{0x1F80, 0x037F};  // as at the start of a process
        std::memcpy(frame, numbers, sizeof numbers);
#    else
        auto** const frame = top - 20;
        frame[1] = start;
#    endif
        place = frame;
    }
    /// Waits here, and continues there.
    static void change(LibcContext& here, LibcContext& there) noexcept {
        libc_switch(&here.place, there.place);
    }
    void* place = nullptr;
};
#else
/// The place where a function waits.
struct LibcContext {
    /// Begins a function on a stack, at the first switch to it.
    void begin(std::span<std::byte> stack, void (*function)()) noexcept {
        getcontext(&place);
        place.uc_stack.ss_sp = stack.data();
        place.uc_stack.ss_size = stack.size();
        place.uc_link = nullptr;
        makecontext(&place, function, 0);
    }
    /// Waits here, and continues there.
    static void change(LibcContext& here, LibcContext& there) noexcept {
        swapcontext(&here.place, &there.place);
    }
    ucontext_t place{};
};
#endif
#undef BELAY_DETAIL_SWITCHES

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
                "), after " + std::to_string(abandoned) +
                " programs were abandoned, whose stacks stay; run fewer seeds in a process, or "
                "raise vm.max_map_count"};
        }
        mapping_ = {static_cast<std::byte*>(memory), page + stack_bytes};
        inside_.begin(mapping_.subspan(page), &LibcFiber::begin);
    }
    LibcFiber(const LibcFiber&) = delete;
    LibcFiber& operator=(const LibcFiber&) = delete;
    ~LibcFiber() {
        if (begun_ && !done_) {
            ++abandoned;
        } else {
            munmap(mapping_.data(), mapping_.size());
        }
    }

    /// Runs the function until it waits, or has returned.
    /// Pre: it has not returned; not called in a fiber.
    void resume() {
        begun_ = true;
        starting_ = this;
        locals_.enter();
        LibcContext::change(outside_, inside_);
        locals_.leave();
    }
    /// Returns to the caller of resume(), until the next resume().   Pre: called in this fiber.
    void suspend() { LibcContext::change(inside_, outside_); }
    /// How many functions of this process were abandoned.
    static inline constinit std::size_t abandoned = 0;

private:
    static void begin() noexcept {
        LibcFiber& self = *starting_;
        self.main_();
        self.done_ = true;
        self.suspend();
    }

    static inline constinit LibcFiber* starting_ = nullptr;

    Function<void()> main_;
    std::span<std::byte> mapping_;
    LibcContext inside_;
    LibcContext outside_;
    LibcThreadLocals locals_;
    bool begun_ = false;
    bool done_ = false;
};

}}}  // namespace belay::detail
