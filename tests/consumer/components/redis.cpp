// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <hiredis/hiredis.h>

int main() { return redisReaderCreate() != nullptr ? 0 : 1; }
