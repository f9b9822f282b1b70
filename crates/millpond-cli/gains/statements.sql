create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
insert into t select i, 'row ' || (i * 7919 % 10007), i * 1.5 from n;
create index tb on t(b);
select count(*), sum(length(g)) from (select b, group_concat(a) as g from t group by b);
select count(distinct json_extract(json_object('a', a, 'b', b, 'c', json_array(c, a, b)), '$.c[2]')) from t;
select sum(length(upper(replace(printf('%08d %s', a, b), '0', 'o')))) from t;
delete from t where a % 3 = 0;
select count(*) from t x join t y on x.b = y.b where x.a < 20000;
