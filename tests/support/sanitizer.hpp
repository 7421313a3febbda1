// SPDX-License-Identifier: MIT
#pragma once

/// 1 under AddressSanitizer or ThreadSanitizer, else 0.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define BELAY_TEST_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define BELAY_TEST_SANITIZED 1
#    endif
#endif
#if !defined(BELAY_TEST_SANITIZED)
#    define BELAY_TEST_SANITIZED 0
#endif

/// 1 under ThreadSanitizer, whose operator new a program cannot replace, else 0.
#if defined(__SANITIZE_THREAD__)
#    define BELAY_TEST_THREAD_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define BELAY_TEST_THREAD_SANITIZED 1
#    endif
#endif
#if !defined(BELAY_TEST_THREAD_SANITIZED)
#    define BELAY_TEST_THREAD_SANITIZED 0
#endif

namespace belay_test {

inline constexpr bool sanitized = BELAY_TEST_SANITIZED != 0;

}  // namespace belay_test
