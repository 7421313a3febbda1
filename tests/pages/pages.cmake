# SPDX-License-Identifier: MIT
# The whole programs of the pages, which page_blocks.py cuts out and names. Each runs in an empty directory. What it
# prints must be what the page says: the text block that follows the program, if there is one.
# GCC compiles each as a user would. Clang compiles several as one program, which takes half of the time, and with
# precompiled headers: that each includes all that it uses is seen by GCC.
execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/scripts/page_blocks.py
                        --programs ${CMAKE_CURRENT_BINARY_DIR}/pages
                OUTPUT_VARIABLE belay_programs OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" belay_programs "${belay_programs}")
set(belay_page_names)
foreach(program IN LISTS belay_programs)
    string(REGEX MATCH "^([^ ]+) (.+)$" matched "${program}")
    list(APPEND belay_page_names ${CMAKE_MATCH_1})
    set(belay_page_of_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
file(GLOB_RECURSE belay_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md ${PROJECT_SOURCE_DIR}/docs/programs/*.cpp)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
             ${belay_pages} ${CMAKE_CURRENT_SOURCE_DIR}/scripts/page_blocks.py)

find_package(Threads REQUIRED)
belay_precompile_for(belay_page_pch belay::belay -O0)

# belay_page_executable(NAME [LIBRARY...]): page_NAME, of the source of that name
function(belay_page_executable name)
    add_executable(page_${name} ${CMAKE_CURRENT_BINARY_DIR}/pages/${name}.cpp)
    target_link_libraries(page_${name} PRIVATE belay::belay Threads::Threads ${ARGN})
    target_compile_options(page_${name} PRIVATE -Wall -Wextra -Werror -O0
                           $<$<CXX_COMPILER_ID:Clang,AppleClang>:-Wno-unused-const-variable>)
    belay_precompiled(page_${name} belay_page_pch)
endfunction()

# belay_page_test(NAME COMMAND...)
function(belay_page_test name)
    if(NOT name IN_LIST belay_page_names)
        message(FATAL_ERROR "no page has the program ${name}: see tests/scripts/page_blocks.py for the names")
    endif()
    set(directory ${CMAKE_CURRENT_BINARY_DIR}/pages)
    belay_add_test(NAME pages/${name} COMMAND ${CMAKE_COMMAND} "-DCOMMAND=${ARGN}" -DPAGE=${belay_page_of_${name}}
             -DEXPECTED=${directory}/${name}.expected -DDIRECTORY=${directory}/${name}
             -P ${CMAKE_CURRENT_SOURCE_DIR}/pages/run_page.cmake)
endfunction()

set(belay_joins_pages OFF)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND NOT BELAY_TEST_BATCH EQUAL 1)
    set(belay_joins_pages ON)
endif()
# belay_join_pages(KIND COUNT LIBRARIES NAME...): page_joined_KIND_1 and so on, of COUNT programs each. The first argument
# names the one that runs.
function(belay_join_pages kind count libraries)
    set(left ${ARGN})
    set(number 0)
    while(left)
        math(EXPR number "${number} + 1")
        list(SUBLIST left 0 ${count} names)
        list(REMOVE_ITEM left ${names})
        set(program joined_${kind}_${number})
        execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/scripts/page_blocks.py
                                --joined ${CMAKE_CURRENT_BINARY_DIR}/pages/${program}.cpp ${names}
                        COMMAND_ERROR_IS_FATAL ANY)
        belay_page_executable(${program} ${libraries})
        foreach(name IN LISTS names)
            belay_page_test(${name} ${belay_runs_${name}} $<TARGET_FILE:page_${program}> ${name})
        endforeach()
    endwhile()
endfunction()

# belay_page(NAME [ALONE] [LIBRARIES ...] [THROUGH ...])
#   ALONE     it cannot be a part of a program of several
#   THROUGH   what runs it, with the program and its arguments as the last arguments
set(belay_pages_with_libraries)
set(belay_libraries_of_pages)
function(belay_page name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "ALONE" "" "THROUGH;LIBRARIES")
    if(belay_joins_pages AND NOT arg_ALONE)
        set(belay_pages_with_libraries ${belay_pages_with_libraries} ${name} PARENT_SCOPE)
        set(belay_libraries_of_pages ${belay_libraries_of_pages} ${arg_LIBRARIES} PARENT_SCOPE)
        set(belay_runs_${name} ${arg_THROUGH} PARENT_SCOPE)
        return()
    endif()
    belay_page_executable(${name} ${arg_LIBRARIES})
    belay_page_test(${name} ${arg_THROUGH} $<TARGET_FILE:page_${name}>)
endfunction()

# The others need nothing but belay.
set(belay_special_pages bridge-over-mcp collaboration-server coroutines-Coroutines-of-asio
                        http-calls metrics-Logging-with-spdlog policies-at-run-time-Policies-in-JSON recipes-libcurl recipes-cpp-httplib recipes-gRPC
                        ledger-Into-your-SQLite-database several-servers spool-to-a-client-HTTP-in-batches sqlite test-asio-code test-asio-code-Sockets-and-coroutines
                        test-a-websocket-client
                        test-unmodified-code webhooks websocket-server
                        windows)
set(belay_plain_pages ${belay_page_names})
list(REMOVE_ITEM belay_plain_pages ${belay_special_pages})
if(belay_joins_pages)
    belay_join_pages(plain 12 "" ${belay_plain_pages})
else()
    foreach(name IN LISTS belay_plain_pages)
        belay_page(${name})
    endforeach()
endif()
belay_page(windows ALONE)
if(BELAY_NLOHMANN_INCLUDE)
    belay_page(policies-at-run-time-Policies-in-JSON)
endif()
# The policy that README shows is stable.
add_executable(page_readme_check pages/readme_check.cpp)
target_link_libraries(page_readme_check PRIVATE belay_dev)
belay_precompiled(page_readme_check belay_program_pch)
target_include_directories(page_readme_check PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
target_compile_definitions(page_readme_check PRIVATE BELAY_README_PAGE="pages/README-Retry-a-call.cpp")
belay_add_test(NAME pages/readme_check COMMAND page_readme_check)
# The ledger of the page of sessions, with crashes.
add_executable(page_session_check pages/session_check.cpp)
target_link_libraries(page_session_check PRIVATE belay_dev Threads::Threads)
belay_precompiled(page_session_check belay_program_pch)
target_include_directories(page_session_check PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
target_compile_definitions(page_session_check PRIVATE
    BELAY_ASSERTIONS=1 BELAY_SESSION_PAGE="pages/exactly-once.cpp")
belay_add_test(NAME pages/session_check COMMAND page_session_check)
add_executable(page_inbox_check pages/inbox_check.cpp)
target_link_libraries(page_inbox_check PRIVATE belay_dev Threads::Threads)
belay_precompiled(page_inbox_check belay_program_pch)
target_include_directories(page_inbox_check PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
target_compile_definitions(page_inbox_check PRIVATE
    BELAY_ASSERTIONS=1 BELAY_INBOX_PAGE="pages/into-a-work-queue.cpp")
belay_add_test(NAME pages/inbox_check COMMAND page_inbox_check)
if(SQLite3_FOUND)
    belay_page(ledger-Into-your-SQLite-database LIBRARIES SQLite::SQLite3)
    belay_page(sqlite LIBRARIES SQLite::SQLite3)
endif()
if(BELAY_HIREDIS_INCLUDE AND BELAY_HIREDIS AND BELAY_REDIS_SERVER)
    belay_page(several-servers LIBRARIES ${BELAY_HIREDIS}
               THROUGH ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/pages/redis_server.py)
endif()
if(BELAY_ASIO_INCLUDE)
    belay_page(test-asio-code ALONE)
endif()
# Of the compilers here, asio 1.22 has coroutines with GCC only.
if(BELAY_ASIO_INCLUDE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    belay_page(coroutines-Coroutines-of-asio ALONE)
    belay_page(test-asio-code-Sockets-and-coroutines ALONE)
endif()
if(TARGET tests_libc_sim)
    belay_page(test-unmodified-code ALONE LIBRARIES ${CMAKE_DL_LIBS})
    if(BELAY_BOOST_INCLUDE)
        belay_page(test-a-websocket-client ALONE LIBRARIES ${CMAKE_DL_LIBS})
    endif()
endif()
if(BELAY_BOOST_INCLUDE)
    belay_page(websocket-server ALONE)
endif()

if(belay_has_jwt AND BELAY_BOOST_INCLUDE)
    belay_page(collaboration-server ALONE LIBRARIES OpenSSL::Crypto
               THROUGH ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/pages/collaboration_server.py)
    belay_add_listener(page_collaboration-server)
endif()

# Recipes run against a real server, with the real libraries where they are installed.
set(belay_http_server ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/pages/http_server.py)
if(CURL_FOUND)
    belay_page(recipes-libcurl THROUGH ${belay_http_server} LIBRARIES CURL::libcurl)
    belay_page(webhooks THROUGH ${belay_http_server} LIBRARIES CURL::libcurl)
    belay_page(spool-to-a-client-HTTP-in-batches THROUGH ${belay_http_server} LIBRARIES CURL::libcurl)
    belay_page(http-calls THROUGH ${belay_http_server} LIBRARIES CURL::libcurl)
    if(TARGET example_http_calls)
        belay_add_test(NAME pages/example_http_calls COMMAND ${belay_http_server} $<TARGET_FILE:example_http_calls>)
        set_tests_properties(pages/example_http_calls PROPERTIES PASS_REGULAR_EXPRESSION "hello\n3 requests")
    endif()
    # The client of the page of HTTP, judged over calls that do something.
    add_executable(page_http_check pages/http_check.cpp)
    target_link_libraries(page_http_check PRIVATE belay_dev Threads::Threads CURL::libcurl)
    belay_precompiled(page_http_check belay_program_pch)
    target_include_directories(page_http_check PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
    target_compile_definitions(page_http_check PRIVATE BELAY_HTTP_PAGE="pages/http-A-client-of-your-own.cpp")
    belay_add_test(NAME pages/http_check COMMAND page_http_check)
    if(BELAY_NLOHMANN_INCLUDE)
        belay_page(bridge-over-mcp LIBRARIES CURL::libcurl
                   THROUGH ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/pages/mcp_server.py)
    endif()
else()
    message(STATUS "belay: no libcurl4-openssl-dev: its recipe and its page are left out")
endif()
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
    pkg_check_modules(belay_httplib QUIET IMPORTED_TARGET cpp-httplib)
endif()
if(belay_httplib_FOUND)
    belay_page(recipes-cpp-httplib THROUGH ${belay_http_server} LIBRARIES PkgConfig::belay_httplib)
else()
    message(STATUS "belay: no libcpp-httplib-dev: its recipe is left out")
endif()
find_package(spdlog CONFIG QUIET)
if(spdlog_FOUND AND fmt_FOUND)
    belay_page(metrics-Logging-with-spdlog LIBRARIES spdlog::spdlog_header_only)
else()
    message(STATUS "belay: no libspdlog-dev: its recipe is left out")
endif()
belay_page(recipes-gRPC ALONE)
target_include_directories(page_recipes-gRPC PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/pages/stubs)
belay_join_pages(libraries 5 "${belay_libraries_of_pages}" ${belay_pages_with_libraries})
if(TEST pages/bridge-over-mcp)
    set_tests_properties(pages/bridge-over-mcp PROPERTIES SKIP_REGULAR_EXPRESSION "SKIP: ")
endif()
