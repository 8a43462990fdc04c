-- What the orders database needs once, run as its superuser:
--   psql -v password="'…'" -f setup.sql orders
-- The role writ can make login roles and give them migrator, and nothing else
-- that matters.
create role migrator nologin;
create role writ login createrole password :password;
grant migrator to writ with admin option;
grant pg_signal_backend to writ;

create table orders (id int primary key, state text not null);
insert into orders values (42, 'waiting');
alter table orders owner to migrator;
grant create, usage on schema public to migrator;
